/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines of the audit log (audit.h) by a process of its own, so that a disk that hangs, which may be
 * why somebody is shot, holds up no shot. It lives until its lines are on disk, longer than us if
 * need be, and has nothing of us but the way to it. What became of each line, with its hash, also
 * goes to the system log (facility authpriv).
 */
#ifndef STONITH_SCRIBE_H
#define STONITH_SCRIBE_H

#include "audit.h"

/* Starts it. NULL: it cannot be started. PATH: of the log. */
struct scribe *scribe_new(const char *path);
/* Never waits. NULL is fine. */
void scribe_free(struct scribe *s);

/*
 * Hands ENTRY over and waits for it to be on disk, for MS at most. As audit_append(), and
 * -ETIMEDOUT: it is not on disk yet, and may be later.
 */
int scribe_append(struct scribe *s, const json_t *entry, uint64_t ms, struct audit_head *ret_head,
	struct err *err);

#endif
