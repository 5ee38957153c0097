/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rounds that close and open gates. A round to give up may still be on its way when the moment has
 * come after all; every lane takes its step of it before that of quiet_end(), so it is never left
 * behind.
 */
#include "quiet.h"

#include "util.h"

static void over(struct round *r)
{
	struct quiet *q = container_of(r, struct quiet, round);

	q->over(q);
}

static void open_step(struct round_step *s)
{
	struct quiet *q = container_of(s->round, struct quiet, round);

	if (q->step)
		q->step(q, s->lane);
	gate_open(&s->lane->gate);
	round_step_done(s);
}

void quiet_end(struct quiet *q, void (*step)(struct quiet *q, struct lane *l),
	void (*then)(struct quiet *q))
{
	q->step = step;
	q->over = then;
	round_start(&q->round, q->home, q->lanes, q->count, open_step, over);
}

static void all_quiet(struct round *r)
{
	struct quiet *q = container_of(r, struct quiet, round);

	reactor_timer_cancel(q->home, &q->deadline);
	q->reached(q);
}

static void quiet(struct gate *g)
{
	round_step_done(g->owner);
}

static void close_step(struct round_step *step)
{
	struct gate *g = &step->lane->gate;

	g->owner = step;
	gate_close(g, quiet);
}

/* Lanes that still wait for theirs to end wait no longer. */
static void give_up_step(struct round_step *step)
{
	struct gate *g = &step->lane->gate;
	struct round_step *closing = g->owner;
	bool waits = g->empty;

	g->empty = NULL;
	if (waits)
		round_step_done(closing);
	round_step_done(step);
}

static void gave_up(struct round *r)
{
	(void)r;
}

static void too_late(struct reactor_timer *t)
{
	struct quiet *q = container_of(t, struct quiet, deadline);

	q->too_late = true;
	round_start(&q->giving_up, q->home, q->lanes, q->count, give_up_step, gave_up);
}

void quiet_begin(struct quiet *q, struct reactor *home, struct lane *lanes, unsigned count,
	uint64_t ms, void (*reached)(struct quiet *q))
{
	q->home = home;
	q->lanes = lanes;
	q->count = count;
	q->too_late = false;
	q->reached = reached;
	q->deadline.fn = too_late;
	reactor_timer_set(home, &q->deadline, ms);
	round_start(&q->round, home, lanes, count, close_step, all_quiet);
}
