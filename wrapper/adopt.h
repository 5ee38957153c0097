/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Servers that were there before this wrapper: those of one that was killed, that left by --orphan,
 * or that became this one by an upgrade. They are found by their control sockets, asked what they
 * serve and for whom ("adopt", see the manual of xnbd-server), and taken over with their clients,
 * snapshots and copies. Limits and rules are those the exports have now; what needs another server
 * is as it was until this one ends.
 *
 * One that does not fit any more (its export is gone, or is something else now) is taken over for
 * its clients' sake, and gets no new ones: it is apart. So is one that does not know "adopt" or
 * speaks another protocol, of which little is known. No server is a reason not to start.
 */
#ifndef WRAPPER_ADOPT_H
#define WRAPPER_ADOPT_H

#include <jansson.h>

#include "err.h"
#include "exports.h"

struct master;
struct worker;

enum { ADOPT_PROTOCOL = 1, ADOPT_MS = 2000 };

/*
 * At the start, once all exports are known and before anybody is served. FOLDER is that of control
 * sockets; those nobody listens on are removed. Takes ADOPT_MS at most: who answers later is taken
 * over then. KNOWN: what the wrapper before an upgrade knew, or NULL: [{"path", "export", "name",
 * "pid", "evicted": [client], "changes": true if the export was to become something else}]; clients
 * of such an export wait for a late answer. 0 or -errno.
 */
int adopt_all(struct master *m, const char *folder, json_t *known, struct err *err);

/* One that is apart and has the files that a server of E would need; NULL = none. */
const struct worker *adopt_blocker(const struct master *m, const struct export_entry *e);
/* -EBUSY and why, if there is one. */
int adopt_check_free(const struct master *m, const struct export_entry *e, struct err *err);

/* Those apart: [{"export", "pid", "image", "clients", "reason"}]. */
json_t *adopt_describe(const struct master *m);

#endif
