/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fills of 256 KiB over lines of some bandwidth and delay, one behind the other. */
#include "pace.h"

#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

enum { FILL = 256 * 1024 };
static const uint64_t MS = 1000 * 1000, SECOND = 1000 * 1000 * 1000;

struct line {
	struct pace pace;
	uint64_t now, free_at;   /* ns; when its last byte is sent */
	uint64_t ends[PACE_MAX]; /* of fills under way, a ring */
	unsigned first, count;
	uint64_t moved, longest; /* bytes; ns a fill took */
};

static void begin_one(struct line *l, uint64_t bytes_per_second, uint64_t delay)
{
	uint64_t sends = (uint64_t)((double)FILL / (double)bytes_per_second * 1e9);

	pace_begin(&l->pace, l->now);
	l->free_at = MAX_OF(l->free_at, l->now) + sends;
	l->ends[(l->first + l->count++) % PACE_MAX] = l->free_at + delay;
	l->longest = MAX_OF(l->longest, l->free_at + delay - l->now);
}

/* Runs for so long, with as many fills as there may be. */
static void run(struct line *l, uint64_t ns, uint64_t bytes_per_second, uint64_t delay)
{
	uint64_t end = l->now + ns;

	l->moved = l->longest = 0;
	while (l->now < end) {
		while (l->count < l->pace.window)
			begin_one(l, bytes_per_second, delay);
		l->now = MAX_OF(l->now, l->ends[l->first]);
		l->first = (l->first + 1) % PACE_MAX;
		l->count--;
		l->moved += FILL;
		pace_end(&l->pace, l->now);
		assert_in_range(l->pace.window, PACE_MIN, PACE_MAX);
	}
}

static struct line new_line(void)
{
	struct line l = {.now = SECOND};

	pace_init(&l.pace);
	return l;
}

/* All of its bandwidth but a tenth. */
static void assert_used(const struct line *l, uint64_t ns, uint64_t bytes_per_second)
{
	assert_true((double)l->moved > 0.9 * (double)bytes_per_second * (double)ns / 1e9);
}

static void test_slow_line_is_full_but_not_crowded(void **state)
{
	struct line l = new_line();

	(void)state;
	run(&l, 10 * SECOND, 2500 * 1000, MS);
	run(&l, 10 * SECOND, 2500 * 1000, MS);
	assert_used(&l, 10 * SECOND, 2500 * 1000);
	assert_true(l.longest < 500 * MS);
}

static void test_long_fast_line_gets_all_there_may_be(void **state)
{
	struct line l = new_line();

	(void)state;
	run(&l, 20 * SECOND, 1000 * 1000 * 1000, 250 * MS);
	assert_int_equal(l.pace.window, PACE_MAX);
}

static void test_line_that_becomes_slow_and_fast_again(void **state)
{
	struct line l = new_line();

	(void)state;
	run(&l, 5 * SECOND, 100 * 1000 * 1000, MS);
	assert_used(&l, 5 * SECOND, 100 * 1000 * 1000);
	run(&l, 5 * SECOND, 2500 * 1000, MS);
	run(&l, 5 * SECOND, 2500 * 1000, MS);
	assert_true(l.longest < 500 * MS);
	run(&l, 5 * SECOND, 100 * 1000 * 1000, MS);
	assert_used(&l, 5 * SECOND, 100 * 1000 * 1000);
}

/* As after a move of the origin to a place far away: the shortest time is another one. */
static void test_line_that_becomes_long(void **state)
{
	struct line l = new_line();

	(void)state;
	run(&l, 5 * SECOND, 100 * 1000 * 1000, MS);
	run(&l, 20 * SECOND, 100 * 1000 * 1000, 400 * MS);
	assert_in_range(l.pace.window, PACE_MAX / 2, PACE_MAX);
}

static void test_undo(void **state)
{
	struct pace p;

	(void)state;
	pace_init(&p);
	pace_begin(&p, 1 * MS);
	pace_begin(&p, 2 * MS);
	pace_undo(&p);
	pace_begin(&p, 3 * MS);
	pace_end(&p, 11 * MS);
	assert_int_equal(p.shortest, 10 * MS);
	pace_end(&p, 12 * MS);
	assert_int_equal(p.shortest, 9 * MS);
	assert_int_equal(p.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow_line_is_full_but_not_crowded),
		cmocka_unit_test(test_long_fast_line_gets_all_there_may_be),
		cmocka_unit_test(test_line_that_becomes_slow_and_fast_again),
		cmocka_unit_test(test_line_that_becomes_long),
		cmocka_unit_test(test_undo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
