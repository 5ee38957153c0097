/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Posting to lanes and counting; see round.h. */
#include "round.h"

#include "util.h"

static void take_step(struct reactor_task *t)
{
	struct round_step *s = container_of(t, struct round_step, task);

	s->round->step(s);
}

static void back(struct reactor_task *t)
{
	struct round *r = container_of(t, struct round, back);

	r->done(r);
}

void round_start(struct round *r, struct reactor *home, struct lane *lanes, unsigned count,
	void (*step)(struct round_step *s), void (*done)(struct round *r))
{
	r->home = home;
	r->left = count;
	r->step = step;
	r->done = done;
	r->back = (struct reactor_task){.fn = back};
	for (unsigned i = 0; i < count; i++) {
		r->steps[i] =
			(struct round_step){.task.fn = take_step, .round = r, .lane = &lanes[i]};
		reactor_post(&lanes[i].reactor, &r->steps[i].task);
	}
}

void round_step_done(struct round_step *s)
{
	struct round *r = s->round;

	if (atomic_fetch_sub(&r->left, 1) == 1)
		reactor_post(r->home, &r->back);
}
