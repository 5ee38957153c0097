/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The gate of a lane: requests that modify the export pass through it. Closed, it holds new ones
 * back until it is opened; when the last one inside has finished, no data of the export is being
 * changed by this lane, and what was acknowledged is in place: a point in time for a snapshot.
 * Reads are not concerned. All calls in the lane's thread.
 */
#ifndef SERVER_GATE_H
#define SERVER_GATE_H

#include <stdbool.h>

struct request;

struct gate {
	bool closed;
	unsigned inside;               /* begun and not finished */
	struct request *held, **last;  /* in the order they came */
	void (*empty)(struct gate *g); /* to be called when nobody is inside; NULL = nobody waits */
	void *owner;                   /* of empty(): the caller's */
};

void gate_init(struct gate *g);

/* False: RQ is held; exec_go_on() is called when the gate opens. Others pass at once. */
bool gate_enter(struct gate *g, struct request *rq);
void gate_leave(struct gate *g, struct request *rq);

/* EMPTY is called once, perhaps before the return. The gate must be open. */
void gate_close(struct gate *g, void (*empty)(struct gate *g));
void gate_open(struct gate *g);

#endif
