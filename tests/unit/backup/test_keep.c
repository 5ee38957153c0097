/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Retention: against a slow reference for all short histories, and long random ones in places that
 * take turns, in which nothing that is to be kept may ever be overwritten. */
#include "keep.h"

#include "rnd.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { DAY = 86400, MANY = 64 };

/* 2026-11-22, a Sunday, noon. */
static const uint64_t sunday = 1795348800;

static void add(struct records *r, uint64_t time, enum record_state state)
{
	struct record *one = records_add(r, "file:/x", 0, time);

	assert_non_null(one);
	one->state = state;
}

/* Weeks as ISO 8601 has them begin with Mondays as well. */
static void print_period(char kind, uint64_t time, char out[32])
{
	time_t t = (time_t)time;
	const struct tm *tm = gmtime(&t);

	if (kind == 'd')
		strftime(out, 32, "%Y%j", tm);
	else if (kind == 'w')
		strftime(out, 32, "%G%V", tm);
	else
		strftime(out, 32, "%Y%m", tm);
}

static bool same_period(char kind, uint64_t a, uint64_t b)
{
	char x[32], y[32];

	print_period(kind, a, x);
	print_period(kind, b, y);
	return strcmp(x, y) == 0;
}

/* From the newest on: a copy of a period that was not seen yet counts. */
static void reference(const struct records *r, char kind, uint64_t count, bool *keep)
{
	size_t seen[MANY], used = 0;

	for (size_t i = r->count; i-- > 0 && used < count;) {
		bool is_new = r->items[i].state == RECORD_GOOD;

		for (size_t k = 0; k < used; k++)
			is_new = is_new &&
				!(kind != 'l' &&
					same_period(
						kind, r->items[i].time, r->items[seen[k]].time));
		if (is_new) {
			seen[used++] = i;
			keep[i] = true;
		}
	}
}

static void compare(const struct records *r, const struct keep_policy *p)
{
	bool got[MANY], want[MANY] = {false};

	keep_choose(r, p, got);
	reference(r, 'l', MAX_OF(p->last, (uint64_t)1), want);
	reference(r, 'd', p->daily, want);
	reference(r, 'w', p->weekly, want);
	reference(r, 'm', p->monthly, want);
	assert_memory_equal(got, want, r->count * sizeof(*got));
}

/* Every history of up to four copies at six distances, good or bad, by several policies. */
static void test_all_short_histories(void **state)
{
	static const uint64_t steps[] = {3600, DAY, 6 * DAY, 7 * DAY, 31 * DAY, 0};
	static const struct keep_policy policies[] = {{0, 0, 0, 0}, {1, 0, 0, 0}, {2, 0, 0, 0},
		{1, 2, 0, 0}, {1, 0, 2, 0}, {1, 0, 0, 2}, {2, 2, 2, 2}, {1, 9, 9, 9}};
	unsigned cases = 1;

	(void)state;
	for (unsigned len = 0; len <= 4; len++, cases *= 2 * ARRAY_LEN(steps)) {
		for (unsigned n = 0; n < cases; n++) {
			struct records r = {0};
			uint64_t time = sunday;
			unsigned rest = n;

			for (unsigned i = 0; i < len; i++) {
				add(&r, time, rest % 2 ? RECORD_BAD : RECORD_GOOD);
				time += steps[rest / 2 % ARRAY_LEN(steps)];
				rest /= 2 * ARRAY_LEN(steps);
			}
			for (size_t p = 0; p < ARRAY_LEN(policies); p++)
				compare(&r, &policies[p]);
			records_done(&r);
		}
	}
}

/* Also with a clock that jumps, to before 1970 if need be. */
static void test_random_histories(void **state)
{
	struct rnd rnd;

	(void)state;
	rnd_init(&rnd, 7);
	for (unsigned n = 0; n < 3000; n++) {
		struct records r = {0};
		struct keep_policy p = {rnd_below(&rnd, 4), rnd_below(&rnd, 5), rnd_below(&rnd, 5),
			rnd_below(&rnd, 5)};
		size_t count = rnd_below(&rnd, MANY);
		const struct record *newest;
		bool keep[MANY];

		for (size_t i = 0; i < count; i++)
			add(&r, rnd_below(&rnd, 120) * DAY / 2 + (rnd_below(&rnd, 2) ? sunday : 0),
				(enum record_state)rnd_below(&rnd, 3));
		compare(&r, &p);
		keep_choose(&r, &p, keep);
		newest = records_newest(&r);
		if (newest)
			assert_true(keep[newest - r.items]);
		records_done(&r);
	}
}

static void test_week(void **state)
{
	struct keep_policy p = {1, 0, 2, 0};
	struct records r = {0};
	bool keep[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++) /* Saturday, Sunday | Monday, Tuesday */
		add(&r, sunday + (i - 1ULL) * DAY, RECORD_GOOD);
	keep_choose(&r, &p, keep);
	assert_true(!keep[0] && keep[1] && !keep[2] && keep[3]);
	records_done(&r);
}

/* Places. */

struct places {
	uint64_t number[64]; /* of the good copy that is in the place, 0 = none */
};

static void check_places(const struct records *r, const struct places *p, const bool *keep)
{
	for (size_t i = 0; i < r->count; i++) {
		if (keep[i])
			assert_int_equal(p->number[r->items[i].slot], r->items[i].number);
	}
}

/* As a run does it; FATE 0: it fails before it writes, 1: in the middle, 2: verification fails. */
static void one_round(struct records *r, struct places *p, const struct keep_policy *policy,
	uint64_t time, unsigned fate)
{
	unsigned slot = keep_next_slot(r, policy);
	bool keep[RECORDS_MAX];
	char target[16];
	struct record *one;

	assert_in_range(slot, 1, keep_most(policy) + 1);
	keep_choose(r, policy, keep);
	check_places(r, p, keep);
	for (size_t i = 0; i < r->count; i++) {
		assert_false(keep[i] && r->items[i].slot == slot);
		if (r->items[i].slot == slot && fate > 0)
			r->items[i].state = RECORD_BAD;
	}
	if (fate < 2)
		return;
	for (size_t i = r->count; i-- > 0;) {
		if (r->items[i].slot == slot)
			records_drop(r, i);
	}
	snprintf(target, sizeof(target), "lvm:/dev/v/%u", slot);
	one = records_add(r, target, slot, time);
	one->state = fate == 2 ? RECORD_BAD : RECORD_GOOD;
	p->number[slot] = one->number;
}

static void test_places(void **state)
{
	struct rnd rnd;

	(void)state;
	rnd_init(&rnd, 11);
	for (unsigned n = 0; n < 60; n++) {
		struct keep_policy policy = {1 + rnd_below(&rnd, 3), rnd_below(&rnd, 4),
			rnd_below(&rnd, 4), rnd_below(&rnd, 4)};
		struct records r = {0};
		struct places p = {{0}};
		uint64_t time = sunday, last = 0;

		for (unsigned i = 0; i < 120; i++) {
			unsigned fate = (unsigned)rnd_below(&rnd, 6);

			time += rnd_below(&rnd, 3 * DAY);
			one_round(&r, &p, &policy, time, fate);
			if (records_newest(&r)) {
				assert_true(records_newest(&r)->number >= last);
				last = records_newest(&r)->number;
			}
			assert_true(last == 0 || records_newest(&r));
		}
		records_done(&r);
	}
}

/* The first two, then the one that is not the newest; and one that failed is used again. */
static void test_two_places(void **state)
{
	struct keep_policy policy = {1, 0, 0, 0};
	struct records r = {0};

	(void)state;
	assert_int_equal(keep_next_slot(&r, &policy), 1);
	records_add(&r, "1", 1, sunday)->state = RECORD_GOOD;
	assert_int_equal(keep_next_slot(&r, &policy), 2);
	records_add(&r, "2", 2, sunday)->state = RECORD_BAD;
	assert_int_equal(keep_next_slot(&r, &policy), 2);
	records_drop(&r, 1);
	records_add(&r, "2", 2, sunday)->state = RECORD_GOOD;
	assert_int_equal(keep_next_slot(&r, &policy), 1);
	records_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_short_histories),
		cmocka_unit_test(test_random_histories),
		cmocka_unit_test(test_week),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_two_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
