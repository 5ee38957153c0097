/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exit statuses of actions, as a table of what they came to; and numbers and times in words. */
#include "outcome.h"

#include "command.h"
#include "report.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void test_statuses(void **state)
{
	static const struct {
		enum options_command command;
		int code;
		bool reached;
		enum plan_action action;
		enum plan_why why;
		int status;
	} rows[] = {
		{OPTIONS_SYNC, 0, true, PLAN_NOTHING, PLAN_BECAUSE_IN_STEP, COMMAND_DONE},
		{OPTIONS_SYNC, 0, false, PLAN_NOTHING, PLAN_BECAUSE_IN_STEP, COMMAND_PENDING},
		{OPTIONS_SYNC, 0, true, PLAN_AGREE, PLAN_BECAUSE_IN_STEP, COMMAND_DONE},
		{OPTIONS_PUSH, 0, true, PLAN_PUBLISH, PLAN_BECAUSE_WISH, COMMAND_DONE},
		{OPTIONS_PUSH, 0, false, PLAN_PUBLISH, PLAN_BECAUSE_WISH, COMMAND_PENDING},
		{OPTIONS_SYNC, 0, true, PLAN_FETCH, PLAN_BECAUSE_BEHIND, COMMAND_DONE},
		{OPTIONS_SYNC, -EREMOTEIO, true, PLAN_FETCH, PLAN_BECAUSE_BEHIND, COMMAND_FAILED},
		{OPTIONS_SYNC, -EBUSY, true, PLAN_SEND, PLAN_BECAUSE_AHEAD, COMMAND_FAILED},
		{OPTIONS_PUSH, -EPERM, true, PLAN_PUBLISH, PLAN_BECAUSE_WISH, COMMAND_HELD},
		{OPTIONS_SYNC, 0, true, PLAN_HOLD, PLAN_BECAUSE_BOTH, COMMAND_HELD},
		{OPTIONS_SYNC, 0, true, PLAN_SETTLE, PLAN_BECAUSE_IN_DOUBT, COMMAND_BEHIND},
		{OPTIONS_SYNC, 0, true, PLAN_WAIT, PLAN_BECAUSE_DRIFT_HERE, COMMAND_HELD},
		{OPTIONS_SYNC, 0, true, PLAN_WAIT, PLAN_BECAUSE_TWO_ACTIVE, COMMAND_HELD},
		{OPTIONS_SYNC, 0, true, PLAN_WAIT, PLAN_BECAUSE_EMPTIED, COMMAND_HELD},
		{OPTIONS_SYNC, 0, true, PLAN_WAIT, PLAN_BECAUSE_EMPTIED_THERE, COMMAND_HELD},
		{OPTIONS_SYNC, 0, true, PLAN_WAIT, PLAN_BECAUSE_MANUAL, COMMAND_PENDING},
		{OPTIONS_SYNC, 0, false, PLAN_WAIT, PLAN_BECAUSE_FIRST, COMMAND_PENDING},
		{OPTIONS_PUSH, 0, true, PLAN_WAIT, PLAN_BECAUSE_BEHIND, COMMAND_BEHIND},
		{OPTIONS_PUSH, 0, true, PLAN_WAIT, PLAN_BECAUSE_UNUSABLE, COMMAND_FAILED},
		{OPTIONS_PULL, 0, false, PLAN_WAIT, PLAN_BECAUSE_WISH, COMMAND_PENDING},
		{OPTIONS_ROLLBACK, 0, true, PLAN_WAIT, PLAN_BECAUSE_BEHIND, COMMAND_DONE},
		{OPTIONS_ROLLBACK, 0, false, PLAN_NOTHING, PLAN_BECAUSE_IN_STEP, COMMAND_PENDING},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct options o = {.command = rows[i].command};
		struct sync_result r = {.code = rows[i].code,
			.reached = rows[i].reached,
			.plan = {.action = rows[i].action, .why = rows[i].why}};

		assert_int_equal(outcome_status(&o, &r), rows[i].status);
	}
}

static void test_document(void **state)
{
	struct options o = {.command = OPTIONS_PUSH};
	struct config_set set = {.name = (char[]){"web"}};
	struct sync_result r = {.plan = {.action = PLAN_SEND},
		.reached = true,
		.code = -EIO,
		.number = 7,
		.err = {.code = EIO, .text = "broken\x1b"}};
	json_t *d = outcome_document(&o, &set, &r, NULL);

	(void)state;
	assert_string_equal(json_string_value(json_object_get(d, "action")), "send");
	assert_string_equal(json_string_value(json_object_get(d, "error")), "broken\\x1b");
	assert_int_equal(json_integer_value(json_object_get(d, "generation")), 7);
	assert_int_equal(json_integer_value(json_object_get(d, "status")), COMMAND_FAILED);
	assert_null(json_object_get(d, "changes"));
	json_decref(d);
}

static void test_words(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} sizes[] = {{0, "0 bytes"}, {1, "1 byte"}, {1023, "1023 bytes"}, {1024, "1.0 KiB"},
		{3565158, "3.4 MiB"}, {UINT64_MAX, "16777216.0 TiB"}};
	char text[REPORT_TEXT];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		report_size(sizes[i].bytes, text);
		assert_string_equal(text, sizes[i].text);
	}
	report_time(0, text);
	assert_string_equal(text, "?");
	report_time(INT64_MAX, text);
	assert_string_equal(text, "?");
}

/* Of this boot an age, else when it was. */
static void test_seen(void **state)
{
	struct state_peer p = {0};
	char text[REPORT_TEXT];
	struct timespec t;
	uint64_t now;

	(void)state;
	report_seen(&p, text);
	assert_string_equal(text, "never");
	p.time = 1;
	report_seen(&p, text);
	assert_true(strstr(text, "1970") || strstr(text, "1969"));
	assert_int_equal(report_age(&p), -1);
	clock_gettime(CLOCK_BOOTTIME, &t);
	now = (uint64_t)t.tv_sec * 1000;
	p.boottime = now + 1000000; /* nonsense is no age */
	assert_int_equal(report_age(&p), -1);
	if (now < 90000)
		skip();
	p.boottime = now - 60000;
	report_seen(&p, text);
	assert_non_null(strstr(text, " s ago"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_statuses),
		cmocka_unit_test(test_document),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
