/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exports that are added, changed and removed while the wrapper runs, with all that hangs on them:
 * the negotiator, servers, snapshots, copies, rules, and entries of the state file that the
 * configuration hides.
 */
#ifndef WRAPPER_CHANGE_H
#define WRAPPER_CHANGE_H

#include "exports.h"

struct master;

/* One of the configuration. 0 or -errno. */
int change_add(struct master *m, const struct export_config *c, struct err *err);

/*
 * The export becomes TO, which is taken and left empty. RESTART: its server cannot take it over and
 * is ended; clients come to the next one. Else it goes on and is told. 0, or -ENOMEM: nothing has
 * changed.
 */
int change_export(struct master *m, uint32_t id, struct export_config *to, bool restart);

/* Its clients stay with their server. One of its name in the state file takes its place. */
int change_remove(struct master *m, uint32_t id, struct err *err);

/* Limits and timeouts as the server of E is to have them now. */
void change_tell_limits(struct master *m, const struct export_entry *e);

#endif
