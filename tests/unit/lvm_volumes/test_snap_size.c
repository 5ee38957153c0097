/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sizes of snapshots: percentages, chunks, and room that is enough for ever. */
#include "snap_size.h"

#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define KIB 1024ULL
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)

static struct toolsconf usual(void)
{
	struct toolsconf c;

	key_init_all(&toolsconf_keys, &c);
	return c;
}

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		struct snap_want want;
	} good[] = {
		{"20%", {.percent = 20}},
		{"1%", {.percent = 1}},
		{"1000%", {.percent = 1000}},
		{"5G", {.bytes = 5 * GIB}},
		{"5g", {.bytes = 5 * GIB}},
		{"512K", {.bytes = 512 * KIB}},
		{"500", {.bytes = 500 * MIB}},
		{"full", {.full = true}},
	};
	static const char *const bad[] = {"", "0", "0%", "1001%", "%", "-1", "+1", " 1", "1 ",
		"1.5G", "5GB", "5X", "FULL", "fullest", "20%%", "99999999999999999999",
		"99999999999999999999%", "8388608T", "0x10"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct snap_want want = {0};
		struct err err = {0};

		assert_int_equal(snap_want_parse(good[i].text, &want, &err), 0);
		assert_int_equal(want.bytes, good[i].want.bytes);
		assert_int_equal(want.percent, good[i].want.percent);
		assert_int_equal(want.full, good[i].want.full);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct snap_want want = {.bytes = 7};
		struct err err = {0};

		assert_int_equal(snap_want_parse(bad[i], &want, &err), -EINVAL);
		assert_int_equal(want.bytes, 7);
		assert_true(*err.text);
	}
}

/* As the kernel lays it out: head, then areas of one chunk of entries and their chunks of data. */
static uint64_t laid_out(uint64_t chunks, uint64_t chunk)
{
	uint64_t entries = chunk / 16, used = 1, left = chunks;

	for (;;) {
		used++; /* entries; those of a full area are ended by an empty one */
		if (left < entries)
			return (used + left) * chunk;
		used += entries;
		left -= entries;
	}
}

static void test_full(void **state)
{
	(void)state;
	for (uint64_t chunk = 4 * KIB; chunk <= 512 * KIB; chunk *= 2) {
		uint64_t entries = chunk / 16;
		const uint64_t counts[] = {1, 2, entries - 1, entries, entries + 1, 2 * entries - 1,
			2 * entries, 2 * entries + 1, 7 * entries + 3};

		for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
			assert_int_equal(snap_size_full(counts[i] * chunk, chunk),
				laid_out(counts[i], chunk));
			assert_int_equal(snap_size_full(counts[i] * chunk - chunk + 1, chunk),
				laid_out(counts[i], chunk));
		}
	}
}

static void test_percent(void **state)
{
	const struct toolsconf c = usual();
	static const struct {
		uint64_t origin, extent, bytes;
	} rows[] = {
		{100 * MIB, MIB, 20 * MIB},
		{100 * MIB, 4 * MIB, 20 * MIB},
		{100 * MIB, 32 * MIB, 32 * MIB},
		{MIB, 4 * MIB, 4 * MIB},
		{100 * GIB - 4 * MIB, 4 * MIB, 20 * GIB},
		{100 * GIB, 4 * MIB, 15 * GIB},
		{20 * TIB, 4 * MIB, 3 * TIB},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct snap_want want = {0};
		struct snap_size s = snap_size_choose(&want, rows[i].origin, rows[i].extent, &c);

		assert_int_equal(s.bytes, rows[i].bytes);
	}
}

/* Whatever is asked: whole extents, a legal chunk, never more than what cannot overflow needs. */
static void test_always(void **state)
{
	static const uint64_t origins[] = {1, 512, 4096, 4 * MIB, 100 * MIB, 3 * GIB, 100 * GIB,
		TIB + 1, 1ULL << 50, 1ULL << 62};
	static const uint64_t extents[] = {1 * KIB, 64 * KIB, 4 * MIB, GIB};
	static const struct snap_want wants[] = {{0}, {.percent = 1}, {.percent = 100},
		{.percent = 1000}, {.bytes = 1}, {.bytes = GIB}, {.bytes = INT64_MAX / 2},
		{.full = true}};
	struct toolsconf c = usual();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(origins) * ARRAY_LEN(extents) * ARRAY_LEN(wants); i++) {
		uint64_t origin = origins[i % 10], extent = extents[i / 10 % 4], full;
		const struct snap_want *want = &wants[i / 40];
		struct snap_size s = snap_size_choose(want, origin, extent, &c);

		full = snap_size_full(origin, s.chunk);
		assert_int_equal(s.bytes % extent, 0);
		assert_true(s.bytes > 0 && s.bytes < MAX_OF(full, 4 * s.chunk) + extent);
		assert_true(is_power_of_2(s.chunk) && s.chunk >= 64 * KIB && s.chunk <= 512 * KIB);
		assert_int_equal(s.is_full, s.bytes >= full);
		if (want->full)
			assert_true(s.is_full);
	}
	c.chunk = 4 * KIB;
	assert_int_equal(snap_size_choose(&wants[0], GIB, MIB, &c).chunk, 4 * KIB);
}

static void test_chunk(void **state)
{
	const struct toolsconf c = usual();

	(void)state;
	for (uint64_t bytes = MIB; bytes <= 4 * TIB; bytes *= 2) {
		const struct snap_want want = {.bytes = bytes};
		uint64_t chunk = snap_size_choose(&want, 16 * TIB, MIB, &c).chunk;

		if (chunk < SNAP_CHUNK_MAX)
			assert_true(bytes / chunk <= SNAP_ENTRIES);
		if (chunk > SNAP_CHUNK_USUAL)
			assert_true(bytes / (chunk / 2) > SNAP_ENTRIES);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_percent),
		cmocka_unit_test(test_always),
		cmocka_unit_test(test_chunk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
