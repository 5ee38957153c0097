/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The same step in every lane, each in its own thread, and word to the main thread when all have
 * taken it. One round at a time for each struct.
 */
#ifndef SERVER_ROUND_H
#define SERVER_ROUND_H

#include "lane.h"

enum { ROUND_LANES_MAX = 64 };

struct round;

struct round_step {
	struct reactor_task task;
	struct round *round;
	struct lane *lane;
};

struct round {
	struct reactor *home;
	_Atomic unsigned left;
	/* In the lane's thread: begins its step, round_step_done() follows, now or later. */
	void (*step)(struct round_step *s);
	void (*done)(struct round *r); /* at home */
	struct reactor_task back;
	struct round_step steps[ROUND_LANES_MAX];
};

/* COUNT > 0 lanes, whose threads run. */
void round_start(struct round *r, struct reactor *home, struct lane *lanes, unsigned count,
	void (*step)(struct round_step *s), void (*done)(struct round *r));
void round_step_done(struct round_step *s);

#endif
