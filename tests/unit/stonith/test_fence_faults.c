/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The plan in bad times: a PDU that is dead, comes back, is another one, refuses, gives no answer
 * to one outlet; late and foreign results; outlets that come on again while we watch. The judge of
 * plansim.h sees to it that no success is said without the readings for it.
 */
#include "plansim.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct plansim s;

static void run(enum fence_verdict verdict)
{
	plansim_run(&s);
	assert_int_equal(s.plan.verdict, verdict);
}

/* A dead PDU does not prove dead outlets; the other one is set off and stays so. */
static void test_one_dead(void **state)
{
	(void)state;
	plansim_init(&s, "apc-rpdu dell-rpdu", 1);
	s.pdus[0].dead_until = UINT64_MAX;
	s.outlets[0].on = false;
	plansim_begin(&s, FENCE_OFF, 20000, 1000);
	run(FENCE_FAILURE);
	assert_int_equal(s.now, 21000);
	assert_int_equal(s.plan.lanes[0].fault, FENCE_SILENT);
	assert_int_equal(s.plan.outlets[0].last, OUTLET_UNKNOWN);
	assert_int_equal(s.plan.outlets[1].last, OUTLET_OFF);
	assert_int_equal(s.outlets[1].offs, 1);
	assert_true(plansim_count(&s, "1:read") >= 8); /* it is watched meanwhile */
	assert_int_equal(fence_power(&s.plan), FENCE_POWER_UNKNOWN);
}

static void test_dead_and_back(void **state)
{
	(void)state;
	plansim_init(&s, "apc-rpdu dell-rpdu", 1);
	s.pdus[0].dead_until = s.now + 8000;
	plansim_begin(&s, FENCE_OFF, 20000, 1000);
	run(FENCE_SUCCESS);
	assert_false(s.outlets[0].on || s.outlets[1].on);
	assert_true(s.now < 12000);
}

/* It dies when its outlets are off already, and comes back with them on. */
static void die_in_the_dwell(struct plansim *sim)
{
	if (sim->now >= 3000 && !sim->outlets[0].on && sim->arg == NULL) {
		sim->arg = sim;
		sim->outlets[0].on = true;
	}
}

static void test_dies_in_the_dwell(void **state)
{
	(void)state;
	plansim_init(&s, "dell-rpdu apc-rpdu", 1);
	s.pdus[0].dead_from = 3000, s.pdus[0].dead_until = 8000;
	s.meddle = die_in_the_dwell;
	plansim_begin(&s, FENCE_OFF, 20000, 4000);
	run(FENCE_SUCCESS);
	assert_true(s.arg != NULL);
	assert_int_equal(s.outlets[0].offs, 2);
	assert_true(
		plansim_count(&s, "0:id") > 2); /* asked for until it was there, and who it is */
	assert_true(s.now > 12000);             /* the dwell is due again */
	plansim_init(&s, "dell-rpdu", 1);
	s.pdus[0].dead_from = 3000, s.pdus[0].dead_until = UINT64_MAX;
	plansim_begin(&s, FENCE_OFF, 20000, 4000);
	run(FENCE_FAILURE);
	assert_int_equal(s.plan.outlets[0].last, OUTLET_OFF); /* once; it is not believed */
	assert_int_equal(fence_power(&s.plan), FENCE_POWER_UNKNOWN);
}

/* It may have restarted, so what it was told before does not count, even if it reads off. */
static void test_dead_in_the_dwell_and_still_off(void **state)
{
	(void)state;
	plansim_init(&s, "apc-rpdu", 2);
	s.pdus[0].dead_from = 3000, s.pdus[0].dead_until = 8000;
	plansim_begin(&s, FENCE_OFF, 20000, 4000);
	run(FENCE_SUCCESS);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(s.outlets[i].offs, 2);
		assert_int_equal(s.outlets[i].cancels, 2);
	}
}

/* Somebody presses "reboot" while we watch. */
static void press_reboot(struct plansim *sim)
{
	if (sim->now < 3000 || sim->arg)
		return;
	sim->arg = sim;
	sim->outlets[0].later = sim->now + 30000;
	sim->outlets[0].later_on = true;
}

static void test_reboot_pressed_in_the_dwell(void **state)
{
	(void)state;
	plansim_init(&s, "apc-rpdu", 2);
	s.meddle = press_reboot;
	plansim_begin(&s, FENCE_OFF, 20000, 4000);
	run(FENCE_SUCCESS);
	assert_int_equal(s.outlets[0].cancels, 2);
	assert_int_equal(s.outlets[0].offs, 2);
	assert_int_equal(s.outlets[1].offs, 1);
	assert_int_equal(s.outlets[0].later, 0);
	assert_true(s.now >= 7000);
}

/* One lost packet costs a retry, not the dwell. */
static void test_one_lost(void **state)
{
	(void)state;
	for (uint64_t at = 1000; at < 1030; at++) {
		plansim_init(&s, "apc-rpdu dell-rpdu", 2);
		s.pdus[0].dead_from = at, s.pdus[0].dead_until = at + 2;
		plansim_begin(&s, FENCE_OFF, 20000, 0);
		run(FENCE_SUCCESS);
		assert_int_equal(plansim_count(&s, "0:id"), at < 1002 ? 2 : 1);
		assert_true(s.now < 4000);
	}
}

/* Nothing is ever set on a PDU that is another one. The others are set off, then it is a failure.
 */
static void test_wrong_system(void **state)
{
	(void)state;
	plansim_init(&s, "apc-rpdu apc-rpdu2", 2);
	s.pdus[1].system = s.pdus[0].system;
	s.outlets[0].slow = 700;
	plansim_begin(&s, FENCE_OFF, 20000, 1000);
	run(FENCE_FAILURE);
	assert_int_equal(s.plan.lanes[1].phase, FENCE_FAILED);
	assert_int_equal(s.plan.lanes[1].fault, FENCE_WRONG_SYSTEM);
	assert_int_equal(plansim_count(&s, "1:"), 1);
	assert_false(s.outlets[0].on || s.outlets[1].on);
	assert_true(s.outlets[2].on && s.outlets[3].on);
	assert_true(s.now < 4000); /* without waiting for the deadline */
	assert_int_equal(fence_power(&s.plan), FENCE_POWER_UNKNOWN);
}

static void become_another(struct plansim *sim)
{
	if (sim->now >= 5000)
		sim->pdus[0].system = sim->pdus[1].system;
}

/* The one that comes back under the address is another one. */
static void test_another_comes_back(void **state)
{
	(void)state;
	plansim_init(&s, "dell-rpdu apc-rpdu", 1);
	s.pdus[0].dead_from = 3000, s.pdus[0].dead_until = 8000;
	s.meddle = become_another;
	plansim_begin(&s, FENCE_OFF, 20000, 4000);
	run(FENCE_FAILURE);
	assert_int_equal(s.plan.lanes[0].fault, FENCE_WRONG_SYSTEM);
	assert_int_equal(s.outlets[0].offs, 1);
	assert_int_equal(fence_power(&s.plan), FENCE_POWER_UNKNOWN);
}

static void test_wrong_system_of_the_on_half(void **state)
{
	(void)state;
	plansim_init(&s, "dell-rpdu apc-rpdu", 1);
	plansim_begin(&s, FENCE_CYCLE, 20000, 0);
	plansim_run_until(&s, 1200);
	assert_true(s.plan.turning_on);
	s.pdus[0].dead_from = 1200, s.pdus[0].dead_until = 6000;
	s.meddle = become_another;
	run(FENCE_SUCCESS);
	assert_true(s.plan.on_failed);
	assert_true(s.outlets[1].on);
	assert_false(s.outlets[0].on);
	assert_true(s.now < 12000);
}

/* A read-only community: what reads off and cannot be set is not off. */
static void test_read_only(void **state)
{
	(void)state;
	plansim_init(&s, "apc-rpdu", 2);
	for (size_t i = 0; i < 2; i++) {
		s.outlets[i].on = false;
		s.outlets[i].set_fault = s.outlets[i].cancel_fault = FENCE_READ_ONLY;
	}
	plansim_begin(&s, FENCE_OFF, 20000, 0);
	run(FENCE_FAILURE);
	assert_int_equal(s.plan.outlets[0].last, OUTLET_OFF);
	assert_int_equal(s.plan.outlets[1].fault, FENCE_READ_ONLY);
	plansim_begin(&s, FENCE_TEST, 20000, 0);
	run(FENCE_FAILURE);
	assert_int_equal(s.plan.outlets[0].fault, FENCE_READ_ONLY);
	assert_true(s.now < 22000); /* a no needs no second time */
}

/* A refused cancel does not keep the power on; but it is not success. */
static void test_cancel_refused(void **state)
{
	(void)state;
	plansim_init(&s, "apc-rpdu", 2);
	s.outlets[1].cancel_fault = FENCE_REFUSED;
	plansim_begin(&s, FENCE_OFF, 20000, 0);
	plansim_run_until(&s, 4000);
	assert_int_equal(s.plan.verdict, FENCE_WORKING);
	assert_false(s.outlets[0].on || s.outlets[1].on);
	assert_int_equal(s.plan.outlets[1].fault, FENCE_REFUSED);
	s.outlets[1].cancel_fault = FENCE_NO_FAULT;
	run(FENCE_SUCCESS);
	assert_int_equal(s.plan.outlets[1].fault, FENCE_NO_FAULT);
}

static void test_set_refused_for_a_while(void **state)
{
	(void)state;
	plansim_init(&s, "dell-rpdu dell-rpdu", 2);
	s.outlets[2].set_fault = FENCE_REFUSED;
	plansim_begin(&s, FENCE_OFF, 20000, 1000);
	plansim_run_until(&s, 5000);
	assert_true(s.outlets[2].on);
	assert_false(s.outlets[0].on || s.outlets[1].on || s.outlets[3].on);
	s.outlets[2].set_fault = FENCE_NO_FAULT;
	run(FENCE_SUCCESS);
	assert_int_equal(s.outlets[3].offs, 1);
}

/* A lost unit swallows what is sent to two of its outlets: the third is switched all the same. */
static void test_silent_outlets(void **state)
{
	(void)state;
	plansim_init(&s, "apc-rpdu", 3);
	for (size_t i = 0; i < 2; i++)
		s.outlets[i].set_fault = s.outlets[i].cancel_fault = FENCE_SILENT;
	plansim_begin(&s, FENCE_OFF, 20000, 0);
	plansim_run_until(&s, 6000);
	assert_false(s.outlets[2].on);
	run(FENCE_FAILURE);
	assert_true(s.outlets[0].on && s.outlets[1].on);
	assert_false(s.outlets[2].on);
}

static void test_reading_refused(void **state)
{
	(void)state;
	plansim_init(&s, "dell-rpdu", 1);
	s.pdus[0].get_fault = FENCE_REFUSED;
	plansim_begin(&s, FENCE_OFF, 20000, 0);
	run(FENCE_FAILURE);
	assert_false(s.outlets[0].on); /* it is off, and we cannot know */
	assert_int_equal(s.plan.outlets[0].last, OUTLET_UNKNOWN);
	assert_in_range(s.outlets[0].offs, 2, 6);
	assert_in_range(plansim_count(&s, "read"), 20, 100);
	plansim_init(&s, "dell-rpdu", 1);
	plansim_begin(&s, FENCE_OFF, 20000, 1000);
	plansim_run_until(&s, 1500);
	s.pdus[0].get_fault = FENCE_READ_ONLY;
	plansim_run_until(&s, 15000);
	s.pdus[0].get_fault = FENCE_NO_FAULT;
	run(FENCE_SUCCESS);
	assert_int_equal(s.outlets[0].offs, 1);
	assert_true(s.now >= 16000); /* a dwell of which nothing was seen does not count */
}

/* A wrong key: what is at stake decides how long it is tried. */
static void test_wrong_key(void **state)
{
	(void)state;
	plansim_init(&s, "dell-rpdu apc-rpdu", 1);
	s.pdus[0].dead_until = UINT64_MAX;
	s.pdus[0].dead_as = FENCE_AUTH;
	plansim_begin(&s, FENCE_TEST, 20000, 0);
	run(FENCE_FAILURE);
	assert_int_equal(plansim_count(&s, "0:id"), 3);
	assert_int_equal(s.plan.lanes[0].fault, FENCE_AUTH);
	s.pdus[0].dead_until = s.now + 12000;
	plansim_begin(&s, FENCE_OFF, 20000, 0);
	run(FENCE_SUCCESS);
}

/* Somebody switches an outlet on again: in the dwell, or while another PDU is waited for. */
static void meddle_once(struct plansim *sim)
{
	if (sim->now >= *(uint64_t *)sim->arg) {
		sim->outlets[1].on = true;
		*(uint64_t *)sim->arg = UINT64_MAX;
	}
}

static void test_flaps(void **state)
{
	(void)state;
	for (uint64_t at = 1005; at < 5100; at += 31) {
		uint64_t when = at;

		plansim_init(&s, "apc-rpdu dell-rpdu", 1);
		s.meddle = meddle_once;
		s.arg = &when;
		plansim_begin(&s, FENCE_OFF, 20000, 4000);
		run(FENCE_SUCCESS);
		if (when != UINT64_MAX || at < 1010)
			continue;
		assert_false(s.outlets[1].on && at < 5000);
		assert_int_equal(s.outlets[1].offs, s.outlets[1].on ? 1 : 2);
		assert_int_equal(s.outlets[0].offs, 1);
		assert_true(s.outlets[1].on || s.now >= at + 4000);
	}
}

/* On, and off again by itself between two sweeps: seen by none of ours, and off at the end. */
static void test_flaps_while_another_is_dead(void **state)
{
	uint64_t when = 4000;

	(void)state;
	plansim_init(&s, "apc-rpdu dell-rpdu", 1);
	s.pdus[0].dead_until = UINT64_MAX;
	s.meddle = meddle_once;
	s.arg = &when;
	plansim_begin(&s, FENCE_OFF, 20000, 4000);
	run(FENCE_FAILURE);
	assert_false(s.outlets[1].on);
	assert_int_equal(s.outlets[1].offs, 2);
}

/* Results of requests that are over, of other lanes, of the wrong kind. */
static void test_foreign_results(void **state)
{
	static const enum outlet_state off[] = {OUTLET_OFF, OUTLET_OFF};
	static const int32_t values[] = {2, 2};
	static const uint8_t lanes[] = {0, 0};
	static const bool cancels[] = {false, false};
	struct fence_times times = {.deadline = 10000};
	uint32_t id;

	(void)state;
	fence_init(&s.plan, FENCE_OFF, &times, lanes, cancels, 2);
	fence_tick(&s.plan, 0, &s.steps);
	assert_int_equal(s.steps.count, 1);
	id = s.steps.step[0].id;
	fence_identified(&s.plan, 0, id + 1, true, 1, &s.steps);
	fence_identified(&s.plan, 1, id, true, 1, &s.steps);
	fence_identified(&s.plan, 255, id, true, 1, &s.steps);
	assert_int_equal(s.plan.lanes[0].phase, FENCE_IDENTIFYING);
	assert_int_equal(s.steps.count, 0);
	fence_read(&s.plan, 0, id, off, values, 2, 2, &s.steps); /* of the wrong kind */
	assert_int_equal(s.plan.lanes[0].fault, FENCE_BROKEN);
	assert_int_equal(s.plan.outlets[0].last, OUTLET_UNKNOWN);
	fence_identified(&s.plan, 0, id, true, 3, &s.steps); /* it is over */
	assert_int_equal(s.plan.lanes[0].phase, FENCE_IDENTIFYING);
	fence_tick(&s.plan, s.steps.due, &s.steps);
	fence_identified(&s.plan, 0, s.steps.step[0].id, true, 200, &s.steps);
	id = s.steps.step[0].id;
	assert_int_equal(s.steps.step[0].op, FENCE_READ_ALL);
	fence_read(&s.plan, 0, id, off, values, 1, 201, &s.steps); /* too few */
	assert_int_equal(s.plan.lanes[0].fault, FENCE_BROKEN);
	assert_int_equal(s.plan.outlets[0].last, OUTLET_UNKNOWN);
}

/* What comes at the deadline or behind it counts for nothing, though it be the last sweep. */
static void test_late_result(void **state)
{
	(void)state;
	plansim_init(&s, "dell-rpdu", 1);
	s.pdus[0].latency = 100;
	plansim_begin(&s, FENCE_OFF, 600, 0);
	plansim_run(&s);
	assert_int_equal(s.plan.verdict, FENCE_FAILURE);
	plansim_init(&s, "dell-rpdu", 1);
	s.pdus[0].latency = 100;
	plansim_begin(&s, FENCE_OFF, 601, 0);
	run(FENCE_SUCCESS);
}

static void test_no_time_at_all(void **state)
{
	(void)state;
	plansim_init(&s, "dell-rpdu", 1);
	plansim_begin(&s, FENCE_OFF, 0, 0);
	run(FENCE_FAILURE);
	assert_string_equal(s.log, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_dead),
		cmocka_unit_test(test_dead_and_back),
		cmocka_unit_test(test_dies_in_the_dwell),
		cmocka_unit_test(test_dead_in_the_dwell_and_still_off),
		cmocka_unit_test(test_reboot_pressed_in_the_dwell),
		cmocka_unit_test(test_one_lost),
		cmocka_unit_test(test_wrong_system),
		cmocka_unit_test(test_another_comes_back),
		cmocka_unit_test(test_wrong_system_of_the_on_half),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_cancel_refused),
		cmocka_unit_test(test_set_refused_for_a_while),
		cmocka_unit_test(test_silent_outlets),
		cmocka_unit_test(test_reading_refused),
		cmocka_unit_test(test_wrong_key),
		cmocka_unit_test(test_flaps),
		cmocka_unit_test(test_flaps_while_another_is_dead),
		cmocka_unit_test(test_foreign_results),
		cmocka_unit_test(test_late_result),
		cmocka_unit_test(test_no_time_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
