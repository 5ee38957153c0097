/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The plan step by step, in good times: which requests in which order, what is waited for, how
 * often is asked and set; halves, sweeps, goals, and what is no order at all. Faults are in
 * test_fence_faults.c.
 */
#include "plansim.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct plansim s;

static void run(enum fence_verdict verdict)
{
	plansim_run(&s);
	assert_int_equal(s.plan.verdict, verdict);
}

static void test_off(void **state)
{
	(void)state;
	plansim_init(&s, "apc-rpdu", 2);
	plansim_begin(&s, FENCE_OFF, 20000, 0);
	run(FENCE_SUCCESS);
	/* A look for the record, a read after the sets, two sweeps. */
	assert_string_equal(s.log,
		"0:id 0:read 0:cancel0 0:cancel1 0:off0 0:off1 0:read 0:read "
		"0:read ");
	assert_int_equal(s.plan.outlets[0].before, OUTLET_ON);
	assert_int_equal(s.plan.outlets[1].before_value, 1);
	assert_int_equal(s.plan.outlets[1].last_value, 2);
	assert_int_equal(s.plan.off_at, s.now);
	assert_int_equal(fence_power(&s.plan), FENCE_POWER_OFF);
}

static void test_off_without_cancel(void **state)
{
	(void)state;
	plansim_init(&s, "dell-rpdu", 1);
	plansim_begin(&s, FENCE_OFF, 20000, 0);
	run(FENCE_SUCCESS);
	assert_string_equal(s.log, "0:id 0:read 0:off0 0:read 0:read 0:read ");
}

/* What reads off is set off all the same. */
static void test_already_off(void **state)
{
	(void)state;
	for (size_t i = 0; i < profile_count; i++) {
		plansim_init(&s, profile_table[i].name, 2);
		s.outlets[0].on = s.outlets[1].on = false;
		plansim_begin(&s, FENCE_OFF, 20000, 100);
		run(FENCE_SUCCESS);
		assert_int_equal(s.outlets[0].offs, 1);
		assert_int_equal(s.outlets[1].offs, 1);
		assert_int_equal(s.plan.outlets[0].before, OUTLET_OFF);
	}
}

/* Lanes do not wait for each other but for the sweeps. */
static void test_lanes_in_parallel(void **state)
{
	(void)state;
	plansim_init(&s, "dell-rpdu dell-rpdu", 1);
	s.pdus[0].latency = s.pdus[1].latency = 100;
	plansim_begin(&s, FENCE_OFF, 20000, 0);
	run(FENCE_SUCCESS);
	assert_string_equal(s.log,
		"0:id 1:id 0:read 1:read 0:off0 1:off1 0:read 1:read "
		"0:read 1:read 0:read 1:read ");
	assert_int_equal(s.now, 1000 + 6 * 100);
	plansim_init(&s, "dell-rpdu dell-rpdu", 1);
	s.pdus[0].latency = 500;
	plansim_begin(&s, FENCE_OFF, 20000, 0);
	run(FENCE_SUCCESS);
	assert_ptr_equal(strstr(s.log, "0:id 1:id 1:read 1:off1 1:read 0:read 0:off0 "), s.log);
}

/* The dwell is watched; it ends with a sweep that began behind it. */
static void test_dwell(void **state)
{
	(void)state;
	plansim_init(&s, "dell-rpdu", 1);
	plansim_begin(&s, FENCE_OFF, 20000, 3500);
	run(FENCE_SUCCESS);
	assert_string_equal(s.log, "0:id 0:read 0:off0 0:read 0:read 0:read 0:read 0:read 0:read ");
	assert_int_equal(s.now, 1000 + 5 * 2 + 3500 + 2);
	plansim_init(&s, "dell-rpdu", 1);
	plansim_begin(&s, FENCE_OFF, 3000, 3500); /* no time for that */
	run(FENCE_FAILURE);
	assert_int_equal(s.now, 1000 + 3000);
	assert_false(s.outlets[0].on);
}

static void test_on(void **state)
{
	(void)state;
	for (size_t i = 0; i < profile_count; i++) {
		plansim_init(&s, profile_table[i].name, 2);
		s.outlets[0].on = s.outlets[1].on = false;
		plansim_begin(&s, FENCE_ON, 20000, 4000);
		run(FENCE_SUCCESS);
		assert_true(s.outlets[0].on && s.outlets[1].on);
		assert_int_equal(s.outlets[0].offs + s.outlets[1].offs, 0);
		assert_int_equal(fence_power(&s.plan), FENCE_POWER_ON);
		assert_int_equal(s.plan.off_at, 0);
	}
}

static void test_cycle(void **state)
{
	(void)state;
	plansim_init(&s, "apc-rpdu dell-rpdu", 1);
	plansim_begin(&s, FENCE_CYCLE, 20000, 0);
	run(FENCE_SUCCESS);
	assert_false(s.plan.on_failed);
	assert_true(s.outlets[0].on && s.outlets[1].on);
	assert_int_equal(s.outlets[0].offs, 1);
	assert_int_equal(s.outlets[1].ons, 1);
	assert_true(s.now >= s.plan.off_at + s.plan.times.on_pause);
	/* No second cancel, no second look. */
	assert_non_null(strstr(s.log, "0:on0 1:on1 0:read 1:read 0:read 1:read "));
	assert_int_equal(plansim_count(&s, "cancel"), 1);
}

/* It is a success when off was, and says that on did not come. */
static void test_cycle_on_fails(void **state)
{
	(void)state;
	plansim_init(&s, "apc-rpdu dell-rpdu", 1);
	plansim_begin(&s, FENCE_CYCLE, 20000, 0);
	plansim_run_until(&s, 1200);
	assert_true(s.plan.off_at > 0);
	s.outlets[1].stuck = true;
	run(FENCE_SUCCESS);
	assert_true(s.plan.on_failed);
	assert_int_equal(s.now, 21000);
	assert_true(s.outlets[0].on);
	/* The off half alone decides. */
	plansim_init(&s, "apc-rpdu dell-rpdu", 1);
	s.outlets[1].stuck = true;
	plansim_begin(&s, FENCE_CYCLE, 20000, 0);
	run(FENCE_FAILURE);
	assert_false(s.plan.on_failed);
	assert_int_equal(s.outlets[0].ons, 0);
}

static void test_read(void **state)
{
	(void)state;
	plansim_init(&s, "apc-rpdu dell-rpdu", 2);
	s.outlets[1].on = s.outlets[3].on = false;
	plansim_begin(&s, FENCE_READ, 5000, 4000);
	run(FENCE_SUCCESS);
	assert_string_equal(s.log, "0:id 1:id 0:read 1:read ");
	assert_int_equal(s.plan.outlets[1].last, OUTLET_OFF);
	assert_int_equal(s.plan.outlets[2].last, OUTLET_ON);
	assert_int_equal(fence_power(&s.plan), FENCE_POWER_ON);
	plansim_init(&s, "apc-rpdu", 1);
	s.outlets[0].odd = true;
	s.outlets[0].odd_as = (struct profile_reading){.kind = PROFILE_INTEGER, .value = 3};
	plansim_begin(&s, FENCE_READ, 5000, 0);
	run(FENCE_SUCCESS); /* it could be read */
	assert_int_equal(fence_power(&s.plan), FENCE_POWER_UNKNOWN);
}

static void test_test(void **state)
{
	(void)state;
	plansim_init(&s, "apc-rpdu dell-rpdu", 2);
	s.pdus[1].latency = 100;
	s.outlets[1].on = false;
	plansim_begin(&s, FENCE_TEST, 5000, 4000);
	run(FENCE_SUCCESS);
	assert_string_equal(s.log, "0:id 1:id 0:read 0:cancel0 0:cancel1 1:read ");
	assert_int_equal(s.outlets[0].offs + s.outlets[0].ons, 0);
	assert_true(s.outlets[0].on);
	assert_false(s.outlets[1].on);
}

/* Somebody's delayed command is not ours to take back in a test. */
static void test_test_pending(void **state)
{
	(void)state;
	plansim_init(&s, "apc-rpdu", 2);
	s.outlets[0].later = s.now + 60000;
	plansim_begin(&s, FENCE_TEST, 5000, 0);
	run(FENCE_FAILURE);
	assert_string_equal(s.log, "0:id 0:read 0:cancel1 ");
	assert_int_equal(s.plan.outlets[0].last, OUTLET_PENDING);
	assert_true(s.outlets[0].later > 0);
	assert_true(s.now < 2000); /* no need to wait */
}

/* A relay that takes its time: reads get rarer, sets too. */
static void test_slow_relay(void **state)
{
	(void)state;
	plansim_init(&s, "dell-rpdu", 1);
	s.outlets[0].slow = 1500;
	plansim_begin(&s, FENCE_OFF, 20000, 0);
	run(FENCE_SUCCESS);
	assert_int_equal(s.outlets[0].offs, 1);
	/* At once, then after 20, 40, 80, 160, and each 250: about ten, not hundreds. */
	assert_in_range(plansim_count(&s, "read"), 8, 14);
	plansim_init(&s, "dell-rpdu", 1);
	s.outlets[0].slow = 7000; /* it begins anew with each set */
	plansim_begin(&s, FENCE_OFF, 30000, 0);
	run(FENCE_SUCCESS);
	assert_int_equal(s.outlets[0].offs, 3);
	plansim_init(&s, "dell-rpdu", 1);
	s.outlets[0].stuck = true;
	plansim_begin(&s, FENCE_OFF, 20000, 0);
	run(FENCE_FAILURE);
	assert_int_equal(s.outlets[0].offs, 4); /* at 0, 2, 6, 14 s */
}

/* An odd outlet of a lane does not make the others be set again. */
static void test_only_what_is_not_off(void **state)
{
	(void)state;
	plansim_init(&s, "apc-rpdu", 3);
	s.outlets[1].stuck = true;
	plansim_begin(&s, FENCE_OFF, 7000, 0);
	run(FENCE_FAILURE);
	assert_int_equal(s.outlets[0].offs, 1);
	assert_int_equal(s.outlets[1].offs, 3);
	assert_int_equal(s.outlets[2].offs, 1);
}

static void no_order(enum fence_goal goal, const uint8_t *lanes, size_t outlets)
{
	static const bool cancels[FENCE_OUTLETS_MAX + 1];
	struct fence_times times = {.deadline = 1000};

	fence_init(&s.plan, goal, &times, lanes, cancels, outlets);
	assert_int_equal(s.plan.verdict, FENCE_FAILURE);
	fence_tick(&s.plan, 1, &s.steps);
	assert_int_equal(s.plan.verdict, FENCE_FAILURE);
	assert_int_equal(s.steps.count, 0);
	assert_true(s.steps.due == FENCE_NEVER);
	assert_int_equal(fence_power(&s.plan), FENCE_POWER_UNKNOWN);
}

/* All of no outlets are off: that is no proof. */
static void test_no_order(void **state)
{
	uint8_t many[FENCE_OUTLETS_MAX + 1] = {0};
	static const uint8_t lanes[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};

	(void)state;
	for (enum fence_goal goal = FENCE_OFF; goal < FENCE_GOALS; goal++)
		no_order(goal, NULL, 0);
	no_order(FENCE_GOALS, many, 1);
	no_order(FENCE_OFF, many, FENCE_OUTLETS_MAX + 1);
	no_order(FENCE_OFF, lanes, 9);
	no_order(FENCE_OFF, (const uint8_t[]){1}, 1);
	no_order(FENCE_OFF, (const uint8_t[]){0, 2}, 2);
	no_order(FENCE_OFF, (const uint8_t[]){0, 1, 0}, 3);
	no_order(FENCE_OFF, (const uint8_t[]){255}, 1);
}

static void test_as_many_as_fit(void **state)
{
	(void)state;
	plansim_init(&s,
		"apc-rpdu apc-rpdu2 sentry4 eaton-g3 dell-rpdu ibm-ipdu vertiv-geist tripplite", 4);
	assert_int_equal(s.outlet_count, FENCE_OUTLETS_MAX);
	assert_int_equal(s.pdu_count, FENCE_LANES_MAX);
	plansim_begin(&s, FENCE_CYCLE, 20000, 4000);
	run(FENCE_SUCCESS);
	assert_false(s.plan.on_failed);
}

static void test_texts(void **state)
{
	(void)state;
	for (enum fence_fault f = FENCE_NO_FAULT; f < FENCE_FAULTS; f++)
		assert_true(strlen(fence_fault_text(f)) > 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_off_without_cancel),
		cmocka_unit_test(test_already_off),
		cmocka_unit_test(test_lanes_in_parallel),
		cmocka_unit_test(test_dwell),
		cmocka_unit_test(test_on),
		cmocka_unit_test(test_cycle),
		cmocka_unit_test(test_cycle_on_fails),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_test),
		cmocka_unit_test(test_test_pending),
		cmocka_unit_test(test_slow_relay),
		cmocka_unit_test(test_only_what_is_not_off),
		cmocka_unit_test(test_no_order),
		cmocka_unit_test(test_as_many_as_fit),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
