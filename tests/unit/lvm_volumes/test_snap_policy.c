/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A snapshot that fills, second by second: when it is extended, warned of and given up. */
#include "snap_policy.h"

#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MIB (1024 * 1024ULL)

static const struct snap_rules usual = {
	.origin = 1000 * MIB, .full = 1010 * MIB, .extend_at = 70, .extend_by = 50};

static enum snap_verdict next(
	struct snap_watch *w, uint64_t s, struct vg_fill fill, struct snap_forecast *ret)
{
	const struct snap_moment m = {s * 1000, fill};

	return snap_watch_next(w, &m, ret);
}

static void test_percent(void **state)
{
	(void)state;
	assert_int_equal(snap_percent(0, 100), 0);
	assert_int_equal(snap_percent(699, 1000), 69);
	assert_int_equal(snap_percent(700, 1000), 70);
	assert_int_equal(snap_percent(100, 100), 100);
	assert_int_equal(snap_percent(101, 100), 100);
	assert_int_equal(snap_percent(0, 0), 100);
	assert_int_equal(snap_percent(UINT64_MAX / 2, UINT64_MAX), 50);
}

static void test_forecast(void **state)
{
	struct snap_watch w;
	struct snap_forecast f;

	(void)state;
	snap_watch_init(&w, &usual);
	/* 1 MiB saved and 10 MiB read each second; 5 MiB were read before. */
	for (uint64_t s = 0; s < 40; s++) {
		struct vg_fill fill = {
			.used = s * MIB, .total = 200 * MIB, .read = (5 + 10 * s) * MIB};

		assert_int_equal(next(&w, s, fill, &f), SNAP_FINE);
		if (s == 0) {
			assert_true(f.full_s == SNAP_NEVER && f.done_s == SNAP_NEVER);
		} else {
			assert_int_equal(f.full_s, 200 - s);
			assert_int_equal(f.done_s, 100 - s);
		}
	}
	assert_int_equal(w.peak, 39 * MIB);
	/* Nothing moves any more; after as many moments as are kept nothing is known. */
	for (uint64_t s = 40; s < 40 + SNAP_MOMENTS; s++)
		next(&w, s, (struct vg_fill){39 * MIB, 200 * MIB, 395 * MIB, false}, &f);
	assert_true(f.full_s == SNAP_NEVER && f.done_s == SNAP_NEVER);
}

static void test_grows(void **state)
{
	struct snap_watch w;
	struct snap_forecast f;

	(void)state;
	snap_watch_init(&w, &usual);
	assert_int_equal(next(&w, 0, (struct vg_fill){.used = 69, .total = 100}, &f), SNAP_FINE);
	assert_int_equal(next(&w, 1, (struct vg_fill){.used = 70, .total = 100}, &f), SNAP_GROW);
	assert_int_equal(f.grow_to, 150);
	snap_watch_init(&w, &usual);
	assert_int_equal(next(&w, 0, (struct vg_fill){.used = 800 * MIB, .total = 900 * MIB}, &f),
		SNAP_GROW);
	assert_int_equal(f.grow_to, 1010 * MIB); /* never more than what is enough */
	snap_watch_init(&w, &usual);
	assert_int_equal(next(&w, 0, (struct vg_fill){.used = 1000 * MIB, .total = 1010 * MIB}, &f),
		SNAP_FINE);
}

/* Full in a few seconds: extended long before the percentage. */
static void test_hurries(void **state)
{
	struct snap_watch w;
	struct snap_forecast f;

	(void)state;
	snap_watch_init(&w, &usual);
	next(&w, 0, (struct vg_fill){.used = 0, .total = 100 * MIB}, &f);
	assert_int_equal(
		next(&w, 1, (struct vg_fill){.used = 10 * MIB, .total = 100 * MIB}, &f), SNAP_GROW);
	assert_int_equal(f.full_s, 9);
}

static void test_dooms(void **state)
{
	struct snap_rules rules = usual;
	struct snap_watch w;
	struct snap_forecast f;
	const struct vg_fill before = {.used = 0, .total = 100 * MIB};
	const struct vg_fill slow = {.used = MIB, .total = 100 * MIB, .read = MIB};
	const struct vg_fill fast = {.used = MIB, .total = 100 * MIB, .read = 100 * MIB};

	(void)state;
	rules.extend_at = 0;
	snap_watch_init(&w, &rules);
	assert_int_equal(next(&w, 0, before, &f), SNAP_FINE);
	assert_int_equal(next(&w, 1, slow, &f), SNAP_DOOMED);
	assert_int_equal(f.full_s, 99);
	assert_int_equal(f.done_s, 999);
	snap_watch_init(&w, &rules);
	next(&w, 0, before, &f);
	assert_int_equal(next(&w, 1, fast, &f), SNAP_FINE);
	/* It may be extended: no reason to warn, until that has failed. */
	snap_watch_init(&w, &usual);
	next(&w, 0, before, &f);
	assert_int_equal(next(&w, 1, slow, &f), SNAP_FINE);
	w.cannot_grow = true;
	assert_int_equal(next(&w, 2, (struct vg_fill){80 * MIB, 100 * MIB, 2 * MIB, false}, &f),
		SNAP_DOOMED);
	/* Room for everything: nothing can happen. */
	assert_int_equal(
		next(&w, 3, (struct vg_fill){90 * MIB, 1010 * MIB, 3 * MIB, false}, &f), SNAP_FINE);
	assert_true(f.full_s == SNAP_NEVER);
}

static void test_lost(void **state)
{
	struct snap_watch w;
	struct snap_forecast f;

	(void)state;
	snap_watch_init(&w, &usual);
	assert_int_equal(next(&w, 0, (struct vg_fill){.is_bad = true}, &f), SNAP_LOST);
	next(&w, 1, (struct vg_fill){.used = 1, .total = 100}, &f);
	assert_int_equal(next(&w, 2, (struct vg_fill){.is_bad = true}, &f), SNAP_LOST);
	assert_int_equal(w.peak, 1);
}

static void test_status(void **state)
{
	static const char *const bad[] = {"Invalid", "Overflow", "Merge failed", "Invalid 8"};
	static const char *const odd[] = {"", "/", "1/", "/1", "1/0", "-1/5", "a/b", "Unknown",
		"99999999999999999999/5 1", "1 2"};
	struct vg_fill fill;

	(void)state;
	assert_true(vg_fill_parse("131328/133120 256", &fill));
	assert_int_equal(fill.used, 131328 * 512);
	assert_int_equal(fill.total, 133120 * 512);
	assert_false(fill.is_bad);
	assert_true(vg_fill_parse("0/1", &fill));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_true(vg_fill_parse(bad[i], &fill));
		assert_true(fill.is_bad);
	}
	for (size_t i = 0; i < ARRAY_LEN(odd); i++)
		assert_false(vg_fill_parse(odd[i], &fill));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_percent),
		cmocka_unit_test(test_forecast),
		cmocka_unit_test(test_grows),
		cmocka_unit_test(test_hurries),
		cmocka_unit_test(test_dooms),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
