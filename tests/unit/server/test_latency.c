/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Histograms of times: every bucket's borders, quantiles against sorted values, sums. */
#include "latency.h"
#include "rnd.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { VALUES = 20000 };
static const uint64_t US = 1000;

static struct latency latency, other;

static int set_up(void **state)
{
	(void)state;
	memset(&latency, 0, sizeof(latency));
	memset(&other, 0, sizeof(other));
	return 0;
}

/* The only bucket that is not empty. */
static unsigned bucket_of(uint64_t ns)
{
	struct latency one = {0};
	unsigned i = 0;

	latency_add(&one, ns);
	assert_int_equal(latency_count(&one), 1);
	while (!counter_get(&one.buckets[i]))
		i++;
	return i;
}

/* Each bucket begins where the one before ends. */
static void test_borders(void **state)
{
	uint64_t lower = 0;

	(void)state;
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		uint64_t upper = latency_upper(i);

		assert_int_equal(bucket_of(lower * US), i);
		assert_int_equal(bucket_of(upper * US - 1), i);
		assert_true(upper > lower);
		assert_true(upper - lower == 1 || (upper - lower) * LATENCY_STEPS <= lower);
		lower = upper;
	}
	assert_int_equal(lower, UINT64_C(1) << LATENCY_POWERS);
	assert_int_equal(bucket_of(lower * US), LATENCY_BUCKETS - 1);
	assert_int_equal(bucket_of(UINT64_MAX), LATENCY_BUCKETS - 1);
}

static uint64_t quantile(const struct latency *l, unsigned share)
{
	uint64_t us;

	latency_quantiles(l, &share, 1, &us);
	return us;
}

static void test_nothing(void **state)
{
	(void)state;
	assert_int_equal(latency_count(&latency), 0);
	assert_int_equal(quantile(&latency, 0), 0);
	assert_int_equal(quantile(&latency, LATENCY_ALL), 0);
}

/* Never said to have taken longer than it did, rounded up. */
static void test_one(void **state)
{
	(void)state;
	latency_add(&latency, 100 * US + 1);
	assert_int_equal(counter_get(&latency.max), 101);
	assert_int_equal(quantile(&latency, 0), 101);
	assert_int_equal(quantile(&latency, 50000), 101);
	assert_int_equal(quantile(&latency, LATENCY_ALL), 101);
}

static void test_very_long(void **state)
{
	const uint64_t hour = UINT64_C(3600) * 1000 * 1000;

	(void)state;
	latency_add(&latency, 1);
	latency_add(&latency, hour * US);
	assert_int_equal(quantile(&latency, 50000), 1);
	assert_int_equal(quantile(&latency, 50001), hour);
}

/* 99 short ones and a long one. */
static void test_shares(void **state)
{
	static const unsigned shares[] = {0, 50000, 99000, 99001, 99900, LATENCY_ALL};
	uint64_t us[ARRAY_LEN(shares)];

	(void)state;
	for (unsigned i = 0; i < 99; i++)
		latency_add(&latency, 3 * US);
	latency_add(&latency, 1000 * US);
	latency_quantiles(&latency, shares, ARRAY_LEN(shares), us);
	for (unsigned i = 0; i < ARRAY_LEN(shares); i++)
		assert_int_equal(us[i], shares[i] <= 99000 ? 4 : 1000);
}

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* As the sorted values, not lower and at most an eighth and a microsecond higher. */
static void test_random(void **state)
{
	static const unsigned shares[] = {1000, 10000, 50000, 90000, 99000, 99900, 99990};
	static uint64_t values[VALUES];
	struct rnd rnd;
	uint64_t us[ARRAY_LEN(shares)];

	(void)state;
	rnd_init(&rnd, 5);
	for (unsigned i = 0; i < VALUES; i++) {
		values[i] = rnd_next(&rnd) >> (30 + rnd_below(&rnd, 30));
		latency_add(i % 3 ? &latency : &other, values[i]);
	}
	latency_merge(&latency, &other);
	assert_int_equal(latency_count(&latency), VALUES);
	qsort(values, VALUES, sizeof(values[0]), by_size);
	assert_int_equal(counter_get(&latency.max), (values[VALUES - 1] + US - 1) / US);
	latency_quantiles(&latency, shares, ARRAY_LEN(shares), us);
	for (unsigned i = 0; i < ARRAY_LEN(shares); i++) {
		uint64_t exact = values[(uint64_t)VALUES * shares[i] / LATENCY_ALL - 1];

		assert_true(us[i] * US >= exact);
		assert_true(us[i] <= exact / US + exact / US / LATENCY_STEPS + 1);
	}
}

/* Counts near the end of 64 bits. */
static void test_many(void **state)
{
	(void)state;
	counter_set(&latency.buckets[1], UINT64_MAX / 4);
	counter_set(&latency.buckets[5], UINT64_MAX / 4);
	counter_set(&latency.max, 6);
	assert_int_equal(quantile(&latency, 50000), 2);
	assert_int_equal(quantile(&latency, 50001), 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_borders, set_up),
		cmocka_unit_test_setup(test_nothing, set_up),
		cmocka_unit_test_setup(test_one, set_up),
		cmocka_unit_test_setup(test_very_long, set_up),
		cmocka_unit_test_setup(test_shares, set_up),
		cmocka_unit_test_setup(test_random, set_up),
		cmocka_unit_test_setup(test_many, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
