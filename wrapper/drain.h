/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exports that go, or become something that their server cannot take over, once their last client
 * has left. Until then new clients do not find them, nor their snapshots; who is there notices
 * nothing. They stay in the table, and keep their names.
 */
#ifndef WRAPPER_DRAIN_H
#define WRAPPER_DRAIN_H

#include "exports.h"

struct master;

/* Clients of the export and of its snapshots; those of servers that are ending have been counted.
 */
unsigned drain_clients(const struct master *m, uint32_t id);

/*
 * The export goes (NEXT = NULL), or becomes NEXT, which is copied: at once if nobody uses it. *ret:
 * is it to wait? 0 or -errno; then nothing has changed.
 */
int drain_begin(struct master *m, uint32_t id, const struct export_config *next, bool *ret,
	struct err *err);
/* It stays as it is, and can be found again. */
void drain_cancel(struct master *m, uint32_t id);

/* Is it, or what it is a snapshot of, hidden from new clients? */
bool drain_hides(const struct master *m, const struct export_entry *e);

/* From the worker. */
void drain_client_left(struct master *m);
/* At the end of the master. */
void drain_end(struct master *m);

#endif
