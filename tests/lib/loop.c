/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A turn that does not wait is one in which a posted task asks the reactor to stop. */
#include "loop.h"

#include "check.h"
#include "util.h"

struct stopper {
	struct reactor_task task;
	struct reactor *reactor;
};

void loop_run(struct reactor *r)
{
	r->stopped = false;
	CHECK(reactor_run(r) == 0);
}

static void stop(struct reactor_task *t)
{
	reactor_stop(container_of(t, struct stopper, task)->reactor);
}

void loop_turn(struct reactor *r)
{
	struct stopper s = {{.fn = stop}, r};

	reactor_post(r, &s.task);
	loop_run(r);
}

void loop_turns(struct reactor *r, unsigned count)
{
	while (count-- > 0)
		loop_turn(r);
}

void loop_until(struct reactor *r, const bool *done)
{
	while (!*(const volatile bool *)done)
		loop_turn(r);
}
