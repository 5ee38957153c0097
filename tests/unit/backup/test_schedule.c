/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is due, what is late, and what monitoring is told: at each border of each rule. */
#include "schedule.h"
#include "status.h"

#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { HOUR = SCHEDULE_HOUR, NOW = 1000 * HOUR };

static void test_due(void **state)
{
	(void)state;
	assert_true(schedule_is_due(NOW, 0, 24));
	assert_true(schedule_is_due(NOW, NOW + 1, 24)); /* a clock that was wrong */
	assert_false(schedule_is_due(NOW, NOW, 24));
	assert_false(schedule_is_due(NOW, NOW - 23 * HOUR + 1, 24));
	assert_true(schedule_is_due(NOW, NOW - 23 * HOUR, 24));
	assert_false(schedule_is_due(NOW, NOW - 7 * HOUR / 8 + 1, 1));
	assert_true(schedule_is_due(NOW, NOW - 7 * HOUR / 8, 1));
}

/* A timer of each hour, late by up to five minutes: a copy each day, never two, never one missed.
 */
static void test_hourly_timer(void **state)
{
	uint64_t last = 0, start = NOW;
	unsigned made = 0;

	(void)state;
	for (unsigned hour = 0; hour < 24 * 30; hour++) {
		uint64_t now = start + hour * (uint64_t)HOUR + hour * 7919 % 300;

		if (schedule_is_due(now, last, 24)) {
			assert_true(last == 0 || now - last <= 24 * HOUR + 300);
			last = now;
			made++;
		}
	}
	assert_in_range(made, 30, 32);
}

static void test_missed(void **state)
{
	uint64_t limit = schedule_limit(24, 0);

	(void)state;
	assert_int_equal(limit, 48 * HOUR);
	assert_int_equal(schedule_limit(24, 30), 30 * HOUR);
	assert_true(schedule_missed(NOW, 0, limit) == UINT64_MAX);
	assert_int_equal(schedule_missed(NOW, NOW - limit, limit), 0);
	assert_int_equal(schedule_missed(NOW, NOW - limit - 5, limit), 5);
	assert_int_equal(schedule_missed(NOW, NOW + 5, limit), 0);
}

static void test_span(void **state)
{
	static const struct {
		uint64_t seconds;
		const char *want;
	} all[] = {{0, "0 s"}, {119, "119 s"}, {120, "2 min"}, {7199, "119 min"}, {7200, "2 h"},
		{2 * 86400 - 1, "47 h"}, {2 * 86400, "2 days"}};
	char out[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		schedule_span(all[i].seconds, out, sizeof(out));
		assert_string_equal(out, all[i].want);
	}
}

static void judge_beside(const struct records *r, bool verify, bool is_running,
	enum status_level want, const char *text)
{
	struct config_volume v = {.every = 24, .verify = verify};
	struct status s;

	status_judge(&v, r, is_running, NOW, &s);
	assert_int_equal(s.level, want);
	assert_non_null(strstr(s.text, text));
}

static void judge(const struct records *r, bool verify, enum status_level want, const char *text)
{
	judge_beside(r, verify, false, want, text);
}

static void test_status(void **state)
{
	struct records r = {0};
	struct record *one;

	(void)state;
	judge(&r, true, STATUS_CRITICAL, "no good copy");
	records_add(&r, "a", 0, NOW)->state = RECORD_BAD;
	judge(&r, true, STATUS_CRITICAL, "no good copy");
	one = records_add(&r, "b", 0, NOW - 48 * HOUR);
	one->state = RECORD_GOOD;
	one->verified = true;
	judge(&r, true, STATUS_OK, "2 days old");
	one->time--;
	judge(&r, true, STATUS_CRITICAL, "missed by 1 s");
	one->time++;
	one->verified = false;
	judge(&r, true, STATUS_WARNING, "not verified");
	judge(&r, false, STATUS_OK, "2 days old");
	records_set_text(&r.last_error, "why");
	judge(&r, false, STATUS_WARNING, "the last attempt failed: why");
	records_add(&r, "c", 0, NOW)->state = RECORD_WRITING;
	judge_beside(&r, false, true, STATUS_WARNING, "the last attempt failed: why");
	judge(&r, false, STATUS_WARNING, "the last attempt was cut off");
	records_set_text(&r.last_error, NULL);
	judge_beside(&r, false, true, STATUS_OK, "2 days old");
	judge(&r, false, STATUS_WARNING, "the last attempt was cut off");
	records_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_due),
		cmocka_unit_test(test_hourly_timer),
		cmocka_unit_test(test_missed),
		cmocka_unit_test(test_span),
		cmocka_unit_test(test_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
