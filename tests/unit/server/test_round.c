/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rounds through real lanes in their threads: each takes its step once, then home hears of it. */
#include "loop.h"
#include "round.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { LANES = 5, ROUNDS = 300 };

static struct {
	struct reactor home;
	struct lane lanes[LANES];
	struct storage storage;
	struct round round, other;
	unsigned taken[LANES]; /* each its lane's own */
	struct round_step *late[LANES];
	bool done, other_done;
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

static size_t number(const struct round_step *s)
{
	return (size_t)(s->lane - t.lanes);
}

static void at_once(struct round_step *s)
{
	t.taken[number(s)]++;
	round_step_done(s);
}

static void later(struct round_step *s)
{
	t.late[number(s)] = s;
}

/* What the step of an earlier round has put off. */
static void make_up(struct round_step *s)
{
	round_step_done(t.late[number(s)]);
	round_step_done(s);
}

static void done(struct round *r)
{
	assert_ptr_equal(r, &t.round);
	assert_int_equal(r->left, 0);
	t.done = true;
}

static void other_done(struct round *r)
{
	assert_ptr_equal(r, &t.other);
	t.other_done = true;
}

static void test_each_lane_once(void **state)
{
	(void)state;
	for (unsigned i = 1; i <= ROUNDS; i++) {
		t.done = false;
		round_start(&t.round, &t.home, t.lanes, LANES, at_once, done);
		loop_until(&t.home, &t.done);
		for (int j = 0; j < LANES; j++)
			assert_int_equal(t.taken[j], i);
	}
}

static void test_some_lanes(void **state)
{
	(void)state;
	round_start(&t.round, &t.home, t.lanes + 1, 1, at_once, done);
	loop_until(&t.home, &t.done);
	for (int i = 0; i < LANES; i++)
		assert_int_equal(t.taken[i], i == 1);
}

/* Two structs, two rounds at a time: the second one ends what the first one waits for. */
static void test_steps_that_end_later(void **state)
{
	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		t.done = t.other_done = false;
		round_start(&t.round, &t.home, t.lanes, LANES, later, done);
		round_start(&t.other, &t.home, t.lanes, LANES, make_up, other_done);
		loop_until(&t.home, &t.done);
		loop_until(&t.home, &t.other_done);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_lane_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_some_lanes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_steps_that_end_later, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
