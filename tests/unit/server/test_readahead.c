/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Streams of reads against a disk of which the part that was fetched is known. */
#include "readahead.h"

#include "rnd.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { KIB = 1024, MIB = 1024 * 1024, UNIT = 512, DISK = 64 * MIB };

static struct {
	struct readahead ra;
	uint64_t size;               /* of the disk */
	uint8_t here[DISK / UNIT];   /* fetched? */
	unsigned misses, asked;      /* reads that missed; windows asked for */
	uint64_t ahead, last_window; /* bytes fetched ahead; of the last one */
} t;

static void begin(uint64_t size)
{
	memset(&t, 0, sizeof(t));
	t.size = size;
}

static bool all_here(uint64_t from, uint64_t end)
{
	for (uint64_t u = from / UNIT; u <= (end - 1) / UNIT; u++) {
		if (!t.here[u])
			return false;
	}
	return true;
}

static void fetch(uint64_t from, uint64_t end)
{
	memset(t.here + from / UNIT, 1, (end - 1) / UNIT - from / UNIT + 1);
}

/* As a proxy does it; what is asked for is here at once. True: it was here already. */
static bool read_at(uint64_t offset, uint64_t length)
{
	bool here = all_here(offset, offset + length);
	uint64_t from = 0, end = 0;

	t.misses += !here;
	if (!here || readahead_passes(&t.ra, offset, length)) {
		if (readahead_note(&t.ra, offset, length, t.size, &from, &end)) {
			assert_true(from < end && end <= t.size);
			assert_true(from >= offset + length);
			assert_true(end - (offset + length) <= READAHEAD_MAX);
			t.asked++;
			t.ahead += end - from;
			t.last_window = end - (offset + length);
			fetch(from, end);
		}
	}
	fetch(offset, offset + length);
	return here;
}

/* All of it, LENGTH at a time, from START. */
static void read_on(uint64_t start, uint64_t length)
{
	for (uint64_t at = start; at < t.size; at += length)
		read_at(at, MIN_OF(length, t.size - at));
}

static const uint64_t lengths[] = {512, 1536, 4096, 5000, 60000, 64 * KIB, 64 * KIB + 512,
	128 * KIB, 1000000, 4 * MIB, 8 * MIB, 9 * MIB, 20 * MIB};

/* Whoever reads on waits for the first reads only. */
static void test_sequential_reads_do_not_wait(void **state)
{
	static const uint64_t starts[] = {0, 1, 511, 4096, 64 * KIB - 1, 3 * MIB + 7};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		if (lengths[i] >= READAHEAD_MAX)
			continue;
		for (size_t s = 0; s < ARRAY_LEN(starts); s++) {
			begin(DISK);
			read_on(starts[s], lengths[i]);
			if (lengths[i] < READAHEAD_MIN)
				assert_true(t.misses <= 2);
			else /* until the window is longer than a read */
				assert_true(t.misses <= 2 + 8);
			assert_true(t.asked > 0);
		}
	}
}

/* Longer reads than any window: nothing to gain, and nothing wrong. */
static void test_huge_reads(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		begin(DISK - 1000);
		read_on(7, lengths[i]);
		assert_true(t.ahead <= t.size);
	}
}

/* Nothing is asked for twice, and the windows double up to the longest. */
static void test_windows_double(void **state)
{
	uint64_t last = 0;

	(void)state;
	begin(DISK);
	for (uint64_t at = 0; at < DISK; at += 4096) {
		unsigned asked = t.asked;

		read_at(at, 4096);
		if (t.asked == asked)
			continue;
		if (at + t.last_window + 4096 < DISK)
			assert_int_equal(t.last_window,
				last ? MIN_OF(2 * last, (uint64_t)READAHEAD_MAX) : READAHEAD_MIN);
		last = t.last_window;
	}
	assert_true(t.ahead <= DISK);
	assert_true(t.asked < 30);
}

/* One read alone, and reads here and there, fetch nothing ahead. */
static void test_random_reads(void **state)
{
	struct rnd random;

	(void)state;
	rnd_init(&random, 1);
	begin(DISK);
	for (unsigned i = 0; i < 300; i++)
		read_at(i * 200 * KIB % DISK + rnd_below(&random, 10) * UNIT, 4096);
	assert_int_equal(t.asked, 0);
}

static void test_several_streams(void **state)
{
	const uint64_t part = DISK / READAHEAD_STREAMS;

	(void)state;
	begin(DISK);
	for (uint64_t at = 0; at < part; at += 16 * KIB) {
		for (unsigned s = 0; s < READAHEAD_STREAMS; s++)
			read_at(s * part + at, 16 * KIB);
	}
	/* Marks of streams may meet in one place; one of them then misses once and goes on. */
	assert_true(t.misses <= READAHEAD_STREAMS * 8);
	assert_true(t.asked >= READAHEAD_STREAMS);
}

/* More streams than there is room for push each other out, and read all the same. */
static void test_too_many_streams(void **state)
{
	const uint64_t part = DISK / 32;

	(void)state;
	begin(DISK);
	for (uint64_t at = 0; at < part; at += 16 * KIB) {
		for (unsigned s = 0; s < 32; s++)
			read_at(s * part + at, 16 * KIB);
	}
	assert_true(all_here(0, DISK));
}

/* A reader that skips a little within what was fetched is the same stream. */
static void test_small_gaps(void **state)
{
	(void)state;
	begin(DISK);
	read_at(0, 8 * KIB);
	for (uint64_t at = 8 * KIB; at + 8 * KIB <= DISK; at += 12 * KIB)
		read_at(at, 8 * KIB);
	assert_true(t.misses <= 3);
}

static void test_end_of_disk(void **state)
{
	uint64_t from, end;

	(void)state;
	for (uint64_t size = MIB - 3; size <= MIB + 3; size++) {
		begin(size);
		read_on(0, 4096);
		assert_true(t.misses <= 2);
		assert_false(readahead_note(&t.ra, size - 1, 1, size, &from, &end));
	}
	begin(512);
	read_on(0, 512);
	assert_int_equal(t.asked, 0);
}

static void test_mark_is_passed_once(void **state)
{
	uint64_t from, end;
	unsigned passed = 0;

	(void)state;
	begin(DISK);
	assert_false(readahead_passes(&t.ra, 0, DISK));
	assert_false(readahead_note(&t.ra, 0, 4096, DISK, &from, &end));
	assert_true(readahead_note(&t.ra, 4096, 4096, DISK, &from, &end));
	assert_int_equal(from, 8192);
	assert_int_equal(end, 8192 + READAHEAD_MIN);
	for (uint64_t at = 8192; at < end; at += 4096)
		passed += readahead_passes(&t.ra, at, 4096);
	assert_int_equal(passed, 1);
	assert_false(readahead_passes(&t.ra, 0, DISK));
}

/* Anything, as long as what is asked for is inside (read_at() looks). */
static void test_any_reads(void **state)
{
	struct rnd random;

	(void)state;
	rnd_init(&random, 2);
	for (unsigned round = 0; round < 20; round++) {
		uint64_t at = 0;

		begin(1 + rnd_below(&random, 4 * MIB));
		for (unsigned i = 0; i < 2000; i++) {
			uint64_t len = 1 + rnd_below(&random, rnd_once_in(&random, 4) ? MIB : 8192);

			if (rnd_once_in(&random, 5) || at >= t.size)
				at = rnd_below(&random, t.size);
			len = MIN_OF(len, t.size - at);
			read_at(at, len);
			at += len;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sequential_reads_do_not_wait),
		cmocka_unit_test(test_huge_reads),
		cmocka_unit_test(test_windows_double),
		cmocka_unit_test(test_random_reads),
		cmocka_unit_test(test_several_streams),
		cmocka_unit_test(test_too_many_streams),
		cmocka_unit_test(test_small_gaps),
		cmocka_unit_test(test_end_of_disk),
		cmocka_unit_test(test_mark_is_passed_once),
		cmocka_unit_test(test_any_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
