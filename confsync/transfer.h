/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The transaction of message.h, both sides of it, over a conversation. Locks are the callers'.
 * Whatever happens, this node has one whole generation in force when these return (or after
 * apply_recover(), if they never return).
 */
#ifndef CONFSYNC_TRANSFER_H
#define CONFSYNC_TRANSFER_H

#include "apply.h"
#include "talk.h"

/* Bytes and files sent so far, for people. May be NULL. */
struct transfer_progress {
	void (*fn)(void *arg, const char *what, uint64_t files, uint64_t files_all, uint64_t bytes,
		uint64_t bytes_all);
	void *arg;
};

/* Sends NEXT (contents in store or live files) which becomes the generation of both. LIVE: our
 * files as scanned just now. PEER: what it said. ACTIVE: our role, for reload-on. 0: in force on
 * both, reloaded. -EREMOTEIO: the peer refused, or a hook failed; both have the generation before,
 * ERR says why. Other -errno: lost connection ...; what is in force is found out at the next
 * conversation. *OFFERED (may be NULL): the peer has heard of it, and its end; else it has heard
 * nothing. */
int transfer_send(struct talk *t, struct state *s, const struct manifest *live,
	const struct generation *next, const struct plan_side *peer, bool set_aside, bool active,
	const struct transfer_progress *p, bool *offered, struct err *err);

/* OFFER was received: the rest of it. */
int transfer_receive(struct talk *t, struct state *s, const struct message *offer, bool active,
	const struct transfer_progress *p, struct err *err);

/* Without a peer: NEXT becomes the generation here (files too: for rollback), validated, reloaded,
 * undone if that fails. */
int transfer_alone(struct state *s, const struct manifest *live, const struct generation *next,
	bool active, struct err *err);

#endif
