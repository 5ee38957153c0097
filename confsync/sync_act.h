/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A set in a conversation (sync.c), and doing what its plan says (sync_act.c). */
#ifndef CONFSYNC_SYNC_ACT_H
#define CONFSYNC_SYNC_ACT_H

#include "sync_inner.h"

struct sync_act {
	struct talk *talk; /* NULL: the peer is not reached */
	const struct sync_order *order;
	struct sync_result *result;
	bool fenced; /* the peer was, since we last spoke */
	struct state state;
	struct scan scan;
	struct plan_side me, peer;
	struct message answer; /* the peer's state, as it said it */
	struct plan plan;
};

/* -EBUSY, -EAGAIN: to be tried again from the start. */
int sync_act(struct sync_act *x, struct err *err);

#endif
