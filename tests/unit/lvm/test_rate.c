/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rates: an average of half a minute, forecasts, and when a copy is too slow. Time is made here. */
#include "rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { MB = 1000000 };

/* SECONDS more at SPEED bytes/s, ten notes a second. */
static uint64_t go(struct rate *r, uint64_t now, unsigned seconds, uint64_t speed)
{
	uint64_t done = r->done;

	for (unsigned i = 1; i <= seconds * 10; i++)
		rate_note(r, now + i * 100ULL, done + speed * i / 10);
	return now + seconds * 1000ULL;
}

static void test_steady(void **state)
{
	struct rate r;
	uint64_t now = 5000;

	(void)state;
	rate_init(&r, now, 1000ULL * MB, 4 * MB);
	assert_int_equal(rate_now(&r, now), 0);
	assert_true(rate_left(&r, now) == UINT64_MAX);
	now = go(&r, now, 10, 10 * MB);
	assert_int_equal(rate_now(&r, now), 10 * MB);
	assert_int_equal(rate_left(&r, now), 90);
	assert_false(rate_is_slow(&r, now));
	now = go(&r, now, 90, 10 * MB);
	assert_int_equal(rate_left(&r, now), 0);
}

static void test_slow(void **state)
{
	struct rate r;
	uint64_t now = 0;

	(void)state;
	rate_init(&r, now, 1000ULL * MB, 4 * MB);
	now = go(&r, now, 29, MB);
	assert_false(rate_is_slow(&r, now)); /* nobody knows yet */
	now = go(&r, now, 2, MB);
	assert_true(rate_is_slow(&r, now));
	now = go(&r, now, 30, 10 * MB);
	assert_false(rate_is_slow(&r, now));
	now = go(&r, now, 5, 0); /* a pause is not slow */
	assert_false(rate_is_slow(&r, now));
	assert_true(rate_is_slow(&r, now + 60000)); /* without any note */
	assert_int_equal(rate_now(&r, now + 60000), 0);
	assert_true(rate_left(&r, now + 60000) == UINT64_MAX);
}

static void test_end_is_never_slow(void **state)
{
	struct rate r;
	uint64_t now;

	(void)state;
	rate_init(&r, 0, 40 * MB, 4 * MB);
	now = go(&r, 0, 40, MB);
	assert_false(rate_is_slow(&r, now));
	rate_init(&r, 0, 40 * MB, 0);
	now = go(&r, 0, 39, MB);
	assert_false(rate_is_slow(&r, now));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_steady),
		cmocka_unit_test(test_slow), cmocka_unit_test(test_end_is_never_slow)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
