/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Waits between tries: longer and longer, bounded, and short again after a good life. */
#include "backoff.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_new(void **state)
{
	const struct backoff b = {0};

	(void)state;
	assert_int_equal(backoff_left(&b, 0), 0);
	assert_int_equal(backoff_left(&b, 12345), 0);
}

static void test_grows(void **state)
{
	static const uint64_t waits[] = {100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000, 10000};
	struct backoff b = {0};
	uint64_t now = 5000;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
		backoff_failed(&b, now, i % 2 ? BACKOFF_LIVED_MS - 1 : 0);
		assert_int_equal(backoff_left(&b, now), waits[i]);
		assert_int_equal(backoff_left(&b, now + waits[i] - 1), 1);
		now += waits[i];
		assert_int_equal(backoff_left(&b, now), 0);
	}
	b.failures = UINT32_MAX;
	backoff_failed(&b, now, 0);
	assert_int_equal(backoff_left(&b, now), BACKOFF_MAX_MS);
}

static void test_good_life(void **state)
{
	struct backoff b = {0};

	(void)state;
	for (int i = 0; i < 20; i++)
		backoff_failed(&b, 1000, 0);
	backoff_failed(&b, 1000, BACKOFF_LIVED_MS);
	assert_int_equal(backoff_left(&b, 1000), BACKOFF_FIRST_MS);
	backoff_failed(&b, 1000, 0);
	assert_int_equal(backoff_left(&b, 1000), 2 * BACKOFF_FIRST_MS);
	backoff_forget(&b);
	assert_int_equal(backoff_left(&b, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new),
		cmocka_unit_test(test_grows),
		cmocka_unit_test(test_good_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
