/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The token bucket: how much comes through in a time that the test invents, what may come at once,
 * who has how much of it, and that threads together get no more than one.
 */
#include "throttle.h"
#include "util.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { TAKERS = 5, THREADS = 4, TAKES = 20000 };

static const uint64_t SECOND = 1000000000, MS = 1000000, START = 77 * 1000000000ULL;

static struct throttle t;

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	return 0;
}

static uint64_t take(enum throttle_kind kind, uint64_t count, uint64_t now)
{
	return throttle_take(&t, kind, count, now);
}

static void test_no_limit(void **state)
{
	(void)state;
	assert_false(throttle_is_on(&t));
	for (int i = 0; i < 1000; i++)
		assert_true(take(THROTTLE_REQUESTS, 1, START) == 0);
	assert_true(take(THROTTLE_BYTES, 1 << 20, START) == 0);
	throttle_set(&t, THROTTLE_BYTES, 1000);
	assert_true(throttle_is_on(&t));
	assert_int_equal(throttle_rate(&t, THROTTLE_BYTES), 1000);
	assert_true(take(THROTTLE_REQUESTS, 1, START) == 0); /* each by itself */
	throttle_set(&t, THROTTLE_BYTES, 0);
	assert_false(throttle_is_on(&t));
}

/* How many may be had by END, if as many are wanted as there are. */
static unsigned count_until(uint64_t now, uint64_t end)
{
	unsigned n = 0;

	for (uint64_t at = now; at <= end; n++)
		at = MAX_OF(now, take(THROTTLE_REQUESTS, 1, now));
	return n - 1;
}

/* A tenth of a second's worth at once, then the rate, whatever it is. */
static void test_burst_and_rate(void **state)
{
	static const uint64_t rates[] = {1, 3, 10, 11, 1000, 4096, 99999, 1000000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
		uint64_t rate = rates[i], burst = rate / 10;

		throttle_set(&t, THROTTLE_REQUESTS, rate);
		assert_in_range(count_until(START, START), burst, burst + 1);
		throttle_set(&t, THROTTLE_REQUESTS, rate);
		assert_in_range(
			count_until(START, START + 2 * SECOND - 1), 2 * rate, 2 * rate + burst + 1);
	}
}

/* What is late is not lost, as long as it is less than a tenth of a second. */
static void test_late_turns(void **state)
{
	uint64_t had = 0, now = START;

	(void)state;
	throttle_set(&t, THROTTLE_REQUESTS, 1000);
	while (take(THROTTLE_REQUESTS, 1, now) <= now)
		;
	for (int turn = 0; turn < 100; turn++) {
		now += 37 * MS;
		while (take(THROTTLE_REQUESTS, 1, now) <= now)
			had++;
		had++; /* that one comes at the begin of the next turn */
	}
	assert_in_range(had, 3690, 3702);
}

/* A long pause gives no more than a short one. */
static void test_rest_is_not_saved(void **state)
{
	(void)state;
	throttle_set(&t, THROTTLE_REQUESTS, 1000);
	count_until(START, START);
	assert_in_range(count_until(START + 3600 * SECOND, START + 3600 * SECOND), 100, 101);
}

static void test_change_forgets_promises(void **state)
{
	(void)state;
	throttle_set(&t, THROTTLE_REQUESTS, 1);
	for (int i = 0; i < 1000; i++)
		take(THROTTLE_REQUESTS, 1, START);
	assert_true(take(THROTTLE_REQUESTS, 1, START) > START + 900 * SECOND);
	throttle_set(&t, THROTTLE_REQUESTS, 1000);
	assert_true(take(THROTTLE_REQUESTS, 1, START) <= START);
}

/* The largest numbers there may be. */
static void test_extremes(void **state)
{
	uint64_t at;

	(void)state;
	throttle_set(&t, THROTTLE_BYTES, THROTTLE_BYTES_MAX);
	take(THROTTLE_BYTES, throttle_slice(&t), START);
	at = take(THROTTLE_BYTES, throttle_slice(&t), START);
	assert_in_range(at, START - THROTTLE_BURST_NS, START - THROTTLE_BURST_NS + 2 * MS);
	throttle_set(&t, THROTTLE_BYTES, 1);
	take(THROTTLE_BYTES, throttle_slice(&t), 5); /* a clock that has just begun */
	at = take(THROTTLE_BYTES, 1, 5);
	assert_true(at == THROTTLE_SLICE_BYTES * SECOND);
	throttle_set(&t, THROTTLE_REQUESTS, THROTTLE_REQUESTS_MAX);
	assert_in_range(count_until(START, START + MS), 101 * MS, 101 * MS + 2);
}

static void test_slice(void **state)
{
	(void)state;
	throttle_set(&t, THROTTLE_BYTES, 1000);
	assert_int_equal(throttle_slice(&t), THROTTLE_SLICE_BYTES);
	throttle_set(&t, THROTTLE_BYTES, 1000 * 1000 * 1000);
	assert_int_equal(throttle_slice(&t), 1000 * 1000);
}

/* Each asks again when its moment has come, for a slice of one request or of a long one: all get
 * the same. */
static void test_all_in_turn(void **state)
{
	uint64_t at[TAKERS], got[TAKERS] = {0};

	(void)state;
	throttle_set(&t, THROTTLE_BYTES, 1 << 20);
	for (unsigned i = 0; i < TAKERS; i++)
		at[i] = START;
	for (uint64_t now = START; now < START + 10 * SECOND; now += MS) {
		for (unsigned i = 0; i < TAKERS; i++) {
			while (at[i] <= now) {
				at[i] = MAX_OF(
					now + 1, take(THROTTLE_BYTES, THROTTLE_SLICE_BYTES, now));
				got[i]++;
			}
		}
	}
	for (unsigned i = 1; i < TAKERS; i++)
		assert_in_range(got[i], got[0] - 3, got[0] + 3);
	assert_in_range(got[0] * TAKERS, 620, 680); /* 64 a second */
}

static void *take_many(void *last)
{
	for (int i = 0; i < TAKES; i++)
		*(uint64_t *)last = take(THROTTLE_REQUESTS, 1, START);
	return NULL;
}

static void test_threads_share_one(void **state)
{
	pthread_t threads[THREADS];
	uint64_t last[THREADS];

	(void)state;
	throttle_set(&t, THROTTLE_REQUESTS, 1000);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_many, &last[i]), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_true(take(THROTTLE_REQUESTS, 1, START) ==
		START - THROTTLE_BURST_NS + (uint64_t)THREADS * TAKES * MS);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_no_limit),
		TEST(test_burst_and_rate),
		TEST(test_late_turns),
		TEST(test_rest_is_not_saved),
		TEST(test_change_forgets_promises),
		TEST(test_extremes),
		TEST(test_slice),
		TEST(test_all_in_turn),
		TEST(test_threads_share_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
