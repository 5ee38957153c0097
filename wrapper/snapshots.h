/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshots as exports: NAME@ID each, and NAME@snapshot for the newest of NAME, read-only. They
 * are entries of the export table with `parent` set, and not saved.
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

/* Before one is taken of PARENT: is NAME@snapshot free, or ours already? */
int snapshots_check(const struct master *m, const struct export_entry *parent, struct err *err);
/* It was taken. Heard twice (answer and event), added once. */
int snapshots_add(struct master *m, uint32_t parent, uint64_t id, const char *path, bool complete,
	struct err *err);
/* It is no longer exported; its clients are its server's business. */
void snapshots_remove(struct master *m, uint32_t parent, uint64_t id);
/* The export PARENT is removed: its snapshots too. */
void snapshots_forget(struct master *m, uint32_t parent);

/* NAME@ID, or NULL. */
struct export_entry *snapshots_find(const struct master *m, uint32_t parent, uint64_t id);

/* Id of the export whose server serves E: the parent's, or its own. */
uint32_t snapshots_server(const struct export_entry *e);
/* Facts of a snapshot, by those of what it was taken of. */
struct export_facts snapshots_facts(const struct export_facts *parent);

#endif
