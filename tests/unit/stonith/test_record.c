/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shots in words: whatever the outlets are, a text says "is off" only with the verdict, names each
 * outlet in the way and no other, and fits.
 */
#include "record.h"

#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char node_name[] = "n1";
static struct config_node node = {.name = node_name};
static struct shoot_result result;

static const struct shoot_order *prepare(
	enum fence_goal goal, enum fence_verdict verdict, size_t count)
{
	static struct shoot_order order;

	order = (struct shoot_order){.victim = &node, .goal = goal, .who = "tester"};
	memset(&result, 0, sizeof(result));
	result.fence.goal = goal;
	result.fence.verdict = verdict;
	result.fence.turning_on = goal == FENCE_ON;
	result.fence.outlet_count = count;
	result.fence.lane_count = 1;
	for (size_t i = 0; i < count; i++) {
		snprintf(result.names[i], SHOOT_NAME_MAX, "pdu%zu:%zu", i % 2, i);
		result.fence.outlets[i].last = OUTLET_OFF;
		result.fence.outlets[i].last_value = 2;
	}
	return &order;
}

static void test_success(void **state)
{
	const struct shoot_order *o = prepare(FENCE_OFF, FENCE_SUCCESS, 2);

	(void)state;
	record_text(o, &result);
	assert_string_equal(result.text, "n1 is off (pdu0:0: off, pdu1:1: off)");
	o = prepare(FENCE_CYCLE, FENCE_SUCCESS, 1);
	result.fence.on_failed = true;
	result.fence.turning_on = true;
	record_text(o, &result);
	assert_string_equal(
		result.text, "n1 was off, but is not certain to be on again: pdu0:0: off");
}

/* Every state and every fault, as the one in the way. */
static void test_failure(void **state)
{
	(void)state;
	for (int s = 0; s < OUTLET_STATES; s++) {
		for (int f = 0; f < FENCE_FAULTS; f++) {
			const struct shoot_order *o = prepare(FENCE_OFF, FENCE_FAILURE, 3);

			result.fence.outlets[1].last = (enum outlet_state)s;
			result.fence.outlets[1].last_value = -7;
			result.fence.outlets[1].fault = (enum fence_fault)f;
			record_text(o, &result);
			assert_null(strstr(result.text, "n1 is off"));
			assert_null(strstr(result.text, "pdu0:0"));
			assert_null(strstr(result.text, "pdu0:2"));
			assert_int_equal(!!strstr(result.text, "pdu1:1: "),
				s != OUTLET_OFF || f != FENCE_NO_FAULT);
			/* Cluster software takes such words for something else. */
			assert_null(strcasestr(result.text, "timeout"));
			assert_null(strcasestr(result.text, "timed out"));
		}
	}
}

/* With SNMPv1 a set says the same of what is not there as of what may not be written. */
static void test_missing(void **state)
{
	const struct shoot_order *o = prepare(FENCE_OFF, FENCE_FAILURE, 1);

	(void)state;
	result.fence.outlets[0].last = OUTLET_MISSING;
	result.fence.outlets[0].fault = FENCE_READ_ONLY;
	record_text(o, &result);
	assert_string_equal(
		result.text, "n1: it is not certain that it is off: pdu0:0: no such outlet");
}

static void test_all_read_off(void **state)
{
	const struct shoot_order *o = prepare(FENCE_OFF, FENCE_FAILURE, 2);

	(void)state;
	record_text(o, &result);
	assert_string_equal(result.text,
		"n1: it is not certain that it is off: the time was up before it was certain");
}

static void test_many(void **state)
{
	const struct shoot_order *o = prepare(FENCE_OFF, FENCE_FAILURE, FENCE_OUTLETS_MAX);
	json_t *e;

	(void)state;
	for (size_t i = 0; i < FENCE_OUTLETS_MAX; i++) {
		result.fence.outlets[i].fault = FENCE_REFUSED;
		memset(result.why[i], 'x', SHOOT_NAME_MAX - 1);
		memset(result.names[i], 'y', SHOOT_NAME_MAX - 1);
	}
	record_text(o, &result);
	assert_true(strlen(result.text) < sizeof(result.text));
	e = record_end(o, "1-2", &result, "failed", 0);
	assert_int_equal(json_array_size(json_object_get(e, "outlets")), FENCE_OUTLETS_MAX);
	json_decref(e);
}

/* Texts of others are no UTF-8, or have what a terminal would obey. */
static void test_reason(void **state)
{
	struct shoot_order o = *prepare(FENCE_OFF, FENCE_FAILURE, 1);
	json_t *e;

	(void)state;
	o.reason = "a\x1b[2Jb\xff\n";
	e = record_begin(&o, "1-2");
	assert_string_equal(
		json_string_value(json_object_get(e, "reason")), "a\\x1b[2Jb\\xff\\x0a");
	assert_string_equal(json_string_value(json_object_get(e, "who")), "tester");
	assert_true(json_is_false(json_object_get(e, "by-hand")));
	json_decref(e);
	o.reason = NULL;
	e = record_begin(&o, "1-2");
	assert_true(json_is_null(json_object_get(e, "reason")));
	json_decref(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_success),
		cmocka_unit_test(test_failure),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_all_read_off),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
