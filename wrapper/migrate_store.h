/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What of a migration is in its entry's json, and reading a server's answers. For migrate.c. */
#ifndef WRAPPER_MIGRATE_STORE_H
#define WRAPPER_MIGRATE_STORE_H

#include "migrate.h"

/* The json of a migration that begins. NULL: no memory, or not UTF-8. */
json_t *migrate_stored(const struct migrate_wish *wish, enum migrate_phase phase);
/* In which phase the entry says it is. What is not understood is begun again. */
enum migrate_phase migrate_stored_phase(const struct export_entry *e);
/* Bytes/s; 0 = no limit. */
uint64_t migrate_rate(const struct export_entry *e);

/* Notes PHASE and ERROR (NULL = none) in the entry, and saves the state file; failure is logged. */
void migrate_store(
	struct master *m, struct export_entry *e, enum migrate_phase phase, const char *error);
void migrate_store_hook_ran(struct master *m, struct export_entry *e);

#endif
