/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Was the peer powered off, verified, after we last spoke with it? Then what it changed before and
 * could not tell us of loses against what is here (plan.h). There are two kinds of evidence: a line
 * of xnbd-stonith's audit log that says so and is behind the point where the log ended when we last
 * spoke; and the word of an administrator, who says `xnbd-confsync fenced NODE`. No clock is looked
 * at.
 *
 * STATE-DIRECTORY/.peer-seen, replaced as a whole, has that point: device and inode of the log, the
 * end of its last whole line, that line's length, number and hash. A log that was moved away goes
 * on in a new file whose first line has the old one's last hash, or says that it continues with a
 * higher number; what was behind the point in the old file is found at LOG.1. When in doubt (a log
 * that begins anew, that cannot be read, another path) the peer was not fenced, and what both
 * changed is held.
 *
 * The log calls nodes as stonith.conf does; case is not looked at.
 */
#ifndef CONFSYNC_FENCED_H
#define CONFSYNC_FENCED_H

#include "config.h"
#include "err.h"

bool fenced_since_seen(const struct config *c);
/* We have spoken with the peer, and what it said has been dealt with: only what comes from now on
 * counts, an administrator's word no more. Writes nothing if there is nothing new. 0 or -errno:
 * then what counted before still does. */
int fenced_seen(const struct config *c, struct err *err);
/* `xnbd-confsync fenced NODE`. -EINVAL: NODE is not the peer. */
int fenced_note(const struct config *c, const char *node, struct err *err);

#endif
