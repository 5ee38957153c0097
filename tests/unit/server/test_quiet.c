/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A moment without changes over real lanes in their threads. What is inside a gate is only counted
 * here; real requests in it are test_gate.c's.
 */
#include "clock.h"
#include "loop.h"
#include "quiet.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { LANES = 3, TIMES = 100, MS = 50 };

static struct {
	struct reactor home;
	struct lane lanes[LANES];
	struct storage storage;
	struct quiet quiet;
	struct round round;
	_Atomic unsigned stepped, closed;
	bool reached, over, moved;
} t;

static int set_up(void **state)
{
	const struct lane_limits limits = {.requests = 8, .conn_bytes = 4096, .buffer_bytes = 4096};

	(void)state;
	memset(&t, 0, sizeof(t));
	if (reactor_init(&t.home) < 0)
		return -1;
	for (int i = 0; i < LANES; i++) {
		struct lane *l = &t.lanes[i];

		if (lane_init(l, &t.storage, ENGINE_THREADS, NULL, &limits, NULL) < 0 ||
			lane_start(l) < 0)
			return -1;
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (int i = 0; i < LANES; i++)
		lane_done(&t.lanes[i]);
	reactor_done(&t.home);
	return 0;
}

static void moved(struct round *r)
{
	assert_ptr_equal(r, &t.round);
	t.moved = true;
}

/* A step in the second lane, as if by its requests. */
static void in_a_lane(void (*step)(struct round_step *s))
{
	t.moved = false;
	round_start(&t.round, &t.home, &t.lanes[1], 1, step, moved);
	loop_until(&t.home, &t.moved);
}

static void enter(struct round_step *s)
{
	struct gate *g = &s->lane->gate;

	assert_false(g->closed);
	g->inside++;
	round_step_done(s);
}

static void leave(struct round_step *s)
{
	struct request rq = {.inside = true};

	gate_leave(&s->lane->gate, &rq);
	round_step_done(s);
}

static void count_closed(struct quiet *q, struct lane *l)
{
	assert_ptr_equal(q, &t.quiet);
	t.closed += l->gate.closed;
	t.stepped++;
}

static void over(struct quiet *q)
{
	assert_ptr_equal(q, &t.quiet);
	t.over = true;
}

static void reached(struct quiet *q)
{
	assert_ptr_equal(q, &t.quiet);
	assert_false(t.reached);
	t.reached = true;
}

static void begin(uint64_t ms)
{
	t.reached = t.over = false;
	t.stepped = t.closed = 0;
	quiet_begin(&t.quiet, &t.home, t.lanes, LANES, ms, reached);
}

/* All gates were closed until then, and are open now. */
static void end(void)
{
	quiet_end(&t.quiet, count_closed, over);
	loop_until(&t.home, &t.over);
	assert_int_equal(t.stepped, LANES);
	assert_int_equal(t.closed, LANES);
	for (int i = 0; i < LANES; i++)
		assert_false(t.lanes[i].gate.closed);
}

static void test_again_and_again(void **state)
{
	(void)state;
	for (int i = 0; i < TIMES; i++) {
		begin(60 * 1000);
		loop_until(&t.home, &t.reached);
		assert_false(t.quiet.too_late);
		end();
	}
	assert_int_equal(t.home.timers, 0);
}

static void test_waits_for_one_inside(void **state)
{
	(void)state;
	in_a_lane(enter);
	begin(60 * 1000);
	for (int i = 0; i < 20; i++) {
		loop_turn(&t.home);
		usleep(1000);
	}
	assert_false(t.reached);
	in_a_lane(leave);
	loop_until(&t.home, &t.reached);
	assert_false(t.quiet.too_late);
	end();
}

static void test_too_late(void **state)
{
	(void)state;
	in_a_lane(enter);
	begin(MS);
	loop_until(&t.home, &t.reached);
	assert_true(t.quiet.too_late);
	end();
	in_a_lane(leave); /* nobody waits for it any more */
	begin(60 * 1000);
	loop_until(&t.home, &t.reached);
	assert_false(t.quiet.too_late);
	end();
}

/* As close to the time as can be: it is reached or it is not, but once. */
static void test_just_in_time(void **state)
{
	(void)state;
	for (int i = 0; i < TIMES; i++) {
		in_a_lane(enter);
		begin(1);
		usleep((unsigned)i * 20);
		in_a_lane(leave);
		loop_until(&t.home, &t.reached);
		end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_again_and_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_waits_for_one_inside, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_late, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_just_in_time, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
