/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who waits gets its turn, in a circle; sizes around a word. */
#include "rnd.h"
#include "turns.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_round_and_round(void **state)
{
	struct turns t;
	uint32_t unit;

	(void)state;
	assert_int_equal(turns_init(&t, 200), 0);
	assert_false(turns_take(&t, &unit));
	turns_add(&t, 5);
	turns_add(&t, 199);
	turns_add(&t, 5);
	assert_int_equal(t.count, 2);
	assert_true(turns_take(&t, &unit));
	assert_int_equal(unit, 5);
	turns_add(&t, 5); /* again, but others first */
	turns_add(&t, 64);
	assert_true(turns_take(&t, &unit));
	assert_int_equal(unit, 64);
	assert_true(turns_take(&t, &unit));
	assert_int_equal(unit, 199);
	assert_true(turns_take(&t, &unit));
	assert_int_equal(unit, 5);
	assert_false(turns_take(&t, &unit));
	turns_done(&t);
}

static void test_sizes(void **state)
{
	static const uint32_t sizes[] = {0, 1, 2, 63, 64, 65, 127, 128, 129, 1000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct turns t;
		uint32_t unit;

		assert_int_equal(turns_init(&t, sizes[i]), 0);
		for (uint32_t u = 0; u < sizes[i]; u++)
			turns_add(&t, u);
		for (uint32_t u = 0; u < sizes[i]; u++) {
			assert_true(turns_take(&t, &unit));
			assert_int_equal(unit, u);
		}
		assert_false(turns_take(&t, &unit));
		turns_done(&t);
	}
}

/* With others coming all the time, each waits at most one round. */
static void test_fair(void **state)
{
	enum { UNITS = 300 };
	unsigned since[UNITS] = {0};
	struct turns t;
	struct rnd rnd;
	uint32_t unit;

	(void)state;
	rnd_init(&rnd, 1);
	assert_int_equal(turns_init(&t, UNITS), 0);
	for (uint32_t u = 0; u < UNITS; u++)
		turns_add(&t, u);
	for (int i = 0; i < 20000; i++) {
		assert_true(turns_take(&t, &unit));
		assert_true(since[unit] <= UNITS);
		for (uint32_t u = 0; u < UNITS; u++)
			since[u]++;
		since[unit] = 0;
		turns_add(&t, unit);
		turns_remove(&t, (uint32_t)rnd_below(&rnd, UNITS));
		for (uint32_t u = 0; u < UNITS; u++)
			turns_add(&t, u);
	}
	turns_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_and_round),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_fair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
