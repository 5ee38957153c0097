/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A command that has changed what clients see is answered when the negotiator knows: whoever
 * connects after the answer sees it. The answers wait at the gate of the control socket; nothing
 * else does.
 */
#ifndef WRAPPER_SETTLE_H
#define WRAPPER_SETTLE_H

#include <stdint.h>

struct master;

enum { SETTLE_MS = 2000 }; /* a negotiator that does not answer serves nobody anyway */

/* Before the negotiator is told of something; answers from now on wait for it. */
void settle_changed(struct master *m);
/* It has said that it knows all up to NUMBER. */
void settle_synced(struct master *m, uint64_t number);
/* There is no negotiator, or the master ends: nothing waits. */
void settle_open(struct master *m);

#endif
