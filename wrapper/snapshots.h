/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshots as exports: NAME@ID each, and NAME@snapshot for the newest of NAME, read-only. They
 * are entries of the export table with `parent` set, and not saved. Who may use an export may use
 * its snapshots.
 *
 * While the server that took a snapshot lives, that server serves it (it may still be copying);
 * after that a complete one is a target like any other, and an incomplete one is gone.
 */
#ifndef WRAPPER_SNAPSHOTS_H
#define WRAPPER_SNAPSHOTS_H

#include "export.h"
#include "exports.h"

struct master;
struct worker;

/* A server's event, "snapshot". */
void snapshots_event(struct worker *w, json_t *msg);
/* The server takes no clients any more. */
void snapshots_worker_gone(struct worker *w);
/* After servers of before have been looked at: some may have ended, or be apart. */
void snapshots_settle(struct master *m);

/* Before one is taken of PARENT: is NAME@snapshot free, or ours already? */
int snapshots_check(const struct master *m, const struct export_entry *parent, struct err *err);
/* It was taken. Heard twice (answer and event), added once. */
int snapshots_add(struct master *m, uint32_t parent, uint64_t id, const char *path, bool complete,
	struct err *err);
/* SIZE is what its server says; 0 = it does not, and it is as long as the export was then. */
void snapshots_set_size(struct master *m, uint32_t parent, uint64_t id, uint64_t size);
/* NAME, for the server of a complete one of before, that has the file PATH open; NULL: is none. */
struct export_entry *snapshots_adopt(struct master *m, const char *name, const char *path);
/* As it was, before an upgrade; silently not if that cannot be. */
void snapshots_restore(struct master *m, uint32_t parent, uint64_t id, const char *path,
	bool newest, bool complete, bool detached);
/* It is no longer exported; its clients are its server's business. */
void snapshots_remove(struct master *m, uint32_t parent, uint64_t id);
/* The export PARENT is removed: its snapshots too. */
void snapshots_forget(struct master *m, uint32_t parent);

/* Who may use PARENT has changed: the same may use its snapshots. */
void snapshots_inherit(struct master *m, uint32_t parent);

/* The highest number of one of PARENT, 0 = has none. The next one must be higher, or the newest
 * would not be the newest; after a jump of the clock a server alone would not know. */
uint64_t snapshots_last(const struct master *m, uint32_t parent);

/* NAME@ID, or NULL. */
struct export_entry *snapshots_find(const struct master *m, uint32_t parent, uint64_t id);

/* Id of the export whose server serves E: the parent's, or its own. */
uint32_t snapshots_server(const struct export_entry *e);
/* Facts of a snapshot of SIZE bytes, by those of what it was taken of. */
struct export_facts snapshots_facts(const struct export_facts *parent, uint64_t size);

#endif
