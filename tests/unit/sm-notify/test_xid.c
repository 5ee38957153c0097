/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Call numbers: none twice, each with its owner, and those that are over make room for others. */
#include "rnd.h"
#include "util.h"
#include "xid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { UNITS = 5000 };

static uint32_t held[UNITS];

static bool is_held(void *arg, uint32_t number, uint32_t unit)
{
	(void)arg;
	return held[unit] == number;
}

static void check_all(const struct xid *x)
{
	for (uint32_t u = 0; u < UNITS; u++) {
		uint32_t unit = UINT32_MAX;

		assert_true(xid_find(x, held[u], &unit));
		assert_int_equal(unit, u);
	}
}

static void test_owners(void **state)
{
	struct xid x;
	uint32_t size;

	(void)state;
	assert_int_equal(xid_init(&x, UNITS, is_held, NULL), 0);
	size = x.size;
	for (uint32_t u = 0; u < UNITS; u++) {
		assert_int_equal(xid_draw(&x, u, &held[u]), 0);
		assert_int_not_equal(held[u], 0);
	}
	check_all(&x);
	assert_int_equal(x.size, size); /* room as promised */
	for (int round = 0; round < 20; round++) {
		for (uint32_t u = 0; u < UNITS; u++)
			assert_int_equal(xid_draw(&x, u, &held[u]), 0);
		check_all(&x);
	}
	assert_true(x.size <= 2 * size); /* what is over does not pile up */
	xid_done(&x);
}

static void test_grows(void **state)
{
	struct xid x;

	(void)state;
	assert_int_equal(xid_init(&x, 0, is_held, NULL), 0);
	for (uint32_t u = 0; u < UNITS; u++)
		assert_int_equal(xid_draw(&x, u, &held[u]), 0);
	check_all(&x);
	xid_done(&x);
}

static void test_strangers(void **state)
{
	unsigned found = 0;
	struct rnd rnd;
	struct xid x;
	uint32_t unit;

	(void)state;
	rnd_init(&rnd, 1);
	assert_int_equal(xid_init(&x, UNITS, is_held, NULL), 0);
	assert_false(xid_find(&x, 0, &unit));
	for (uint32_t u = 0; u < UNITS; u++)
		assert_int_equal(xid_draw(&x, u, &held[u]), 0);
	assert_false(xid_find(&x, 0, &unit));
	for (int i = 0; i < 100000; i++)
		found += xid_find(&x, (uint32_t)rnd_next(&rnd), &unit);
	assert_true(found < 20); /* 5,000 of 2^32 */
	xid_done(&x);
}

/* No pattern an eye could see: every bit is set in about half of them, neighbours differ. */
static void test_random(void **state)
{
	unsigned set[32] = {0}, close = 0;
	uint32_t last = 0, n;
	struct xid x;

	(void)state;
	assert_int_equal(xid_init(&x, 0, is_held, NULL), 0);
	for (int i = 0; i < 10000; i++) {
		assert_int_equal(xid_random(&x, &n), 0);
		for (int b = 0; b < 32; b++)
			set[b] += n >> b & 1;
		close += n - last + 1000 < 2000;
		last = n;
	}
	for (int b = 0; b < 32; b++)
		assert_in_range(set[b], 4500, 5500);
	assert_true(close < 5);
	xid_done(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_owners),
		cmocka_unit_test(test_grows),
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
