/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The last gate before success, by itself: lanes that claim to have been swept, which a sound walk
 * never brings about, must not be believed if the numbers of requests say otherwise.
 */
#include "fence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct fence f;
static struct fence_steps steps;

/* The moment before success: two lanes, three outlets, all read in the last sweep. */
static void nearly_there(enum fence_goal goal)
{
	static const uint8_t lanes[] = {0, 1, 1};
	static const bool cancels[] = {true, false, false};
	struct fence_times times = {.deadline = 100000, .dwell = 1000};

	fence_init(&f, goal, &times, lanes, cancels, 3);
	for (size_t i = 0; i < 3; i++) {
		f.outlets[i].set = f.outlets[i].cancelled = true;
		f.outlets[i].last = goal == FENCE_ON ? OUTLET_ON : OUTLET_OFF;
		f.outlets[i].read_id = 20 + f.outlets[i].lane;
	}
	f.lanes[0].phase = f.lanes[1].phase = FENCE_SWEPT;
	f.sweep_from = 20, f.last_change = 19, f.last_id = 21;
	f.sweeps = 1, f.dwell_until = 5000, f.sweep_began = 5000;
}

static void check(enum fence_verdict verdict)
{
	fence_tick(&f, 6000, &steps);
	assert_int_equal(f.verdict, verdict);
	assert_true(f.off_at == 0 || verdict == FENCE_SUCCESS);
}

static void test_there(void **state)
{
	(void)state;
	nearly_there(FENCE_OFF);
	check(FENCE_SUCCESS);
	nearly_there(FENCE_ON);
	check(FENCE_SUCCESS);
}

static void test_read_before_the_sweep(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		nearly_there(FENCE_OFF);
		f.outlets[i].read_id = 19;
		check(FENCE_WORKING);
		nearly_there(FENCE_ON);
		f.outlets[i].read_id = 0;
		check(FENCE_WORKING);
	}
}

static void test_changed_in_the_sweep(void **state)
{
	(void)state;
	for (uint32_t id = 20; id < 23; id++) {
		nearly_there(FENCE_OFF);
		f.last_change = id;
		check(FENCE_WORKING);
	}
}

static void test_not_as_wanted(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		for (enum outlet_state s = OUTLET_UNKNOWN; s < OUTLET_STATES; s++) {
			nearly_there(FENCE_OFF);
			f.outlets[i].last = s;
			check(s == OUTLET_OFF ? FENCE_SUCCESS : FENCE_WORKING);
			nearly_there(FENCE_ON);
			f.outlets[i].last = s;
			check(s == OUTLET_ON ? FENCE_SUCCESS : FENCE_WORKING);
		}
		nearly_there(FENCE_OFF);
		f.outlets[i].set = false;
		check(FENCE_WORKING);
	}
	nearly_there(FENCE_OFF);
	f.outlets[0].cancelled = false;
	check(FENCE_WORKING);
	nearly_there(FENCE_OFF);
	f.outlets[1].cancelled = false; /* has none */
	check(FENCE_SUCCESS);
}

static void test_something_under_way(void **state)
{
	(void)state;
	nearly_there(FENCE_OFF);
	f.lanes[1].busy = true;
	check(FENCE_WORKING);
}

static void test_first_sweep(void **state)
{
	(void)state;
	nearly_there(FENCE_OFF);
	f.sweeps = 0;
	check(FENCE_WORKING);
	assert_int_equal(f.dwell_until, 7000);
	nearly_there(FENCE_OFF);
	f.sweep_began = 4999; /* in the dwell */
	check(FENCE_WORKING);
}

static void test_changes_are_noted(void **state)
{
	static const uint8_t lanes[] = {0};
	static const bool cancels[] = {true};
	static const enum outlet_state off[] = {OUTLET_OFF};
	static const int32_t values[] = {2};
	struct fence_times times = {.deadline = 100000};

	(void)state;
	fence_init(&f, FENCE_OFF, &times, lanes, cancels, 1);
	fence_tick(&f, 1, &steps);
	fence_identified(&f, 0, steps.step[0].id, true, 2, &steps);
	fence_read(&f, 0, steps.step[0].id, off, values, 1, 3, &steps);
	assert_int_equal(f.last_change, steps.step[0].id);
	assert_int_equal(steps.step[0].op, FENCE_CANCEL);
	fence_done(&f, 0, steps.step[0].id, 4, &steps);
	assert_int_equal(f.last_change, steps.step[0].id);
	assert_int_equal(steps.step[0].op, FENCE_SET_OFF);
	fence_done(&f, 0, steps.step[0].id, 5, &steps);
	assert_int_equal(f.last_change, steps.step[0].id - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there),
		cmocka_unit_test(test_read_before_the_sweep),
		cmocka_unit_test(test_changed_in_the_sweep),
		cmocka_unit_test(test_not_as_wanted),
		cmocka_unit_test(test_something_under_way),
		cmocka_unit_test(test_first_sweep),
		cmocka_unit_test(test_changes_are_noted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
