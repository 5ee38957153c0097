/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bitmaps: every operation against an array of bools, for all ranges of small maps; the form in
 * files; maps too large to be filled; threads that set bits at once.
 */
#include "bitmap.h"
#include "rnd.h"
#include "util.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { BITS_MAX = 200, THREADS = 4, SHARED_BITS = 64 * 1024 };

/* Looking at memory costs a multiple of it with ThreadSanitizer. */
#ifdef __SANITIZE_THREAD__
static const uint64_t HUGE_BITS = 1ull << 26;
#else
static const uint64_t HUGE_BITS = 1ull << 32;
#endif

static const uint64_t sizes[] = {1, 2, 63, 64, 65, 127, 128, 129, BITS_MAX};

/* A map and what it shall be. */
struct model {
	struct bitmap map;
	bool bits[BITS_MAX];
	uint64_t count;
};

static void model_init(struct model *m, uint64_t bits)
{
	memset(m, 0, sizeof(*m));
	m->count = bits;
	assert_int_equal(bitmap_init(&m->map, bits), 0);
	assert_int_equal(m->map.bytes, (bits + 63) / 64 * 8);
}

/* Long runs, short runs, or all alike, by SHAPE. */
static void model_fill(struct model *m, struct rnd *r, unsigned shape)
{
	bool value = rnd_below(r, 2);

	bitmap_clear(&m->map, 0, m->count);
	for (uint64_t i = 0; i < m->count; i++) {
		value ^= shape > 0 && rnd_once_in(r, shape);
		m->bits[i] = value;
		if (value)
			bitmap_set(&m->map, i, 1);
	}
}

static void model_check(struct model *m)
{
	const uint8_t *bytes = (const uint8_t *)m->map.words;
	uint64_t n = 0;

	for (uint64_t i = 0; i < m->count; i++) {
		assert_int_equal(bitmap_test(&m->map, i), m->bits[i]);
		assert_int_equal(bytes[i / 8] >> i % 8 & 1, m->bits[i]);
		n += m->bits[i];
	}
	assert_int_equal(bitmap_count(&m->map), n);
}

static uint64_t model_set(struct model *m, uint64_t first, uint64_t count, bool value)
{
	uint64_t changed = 0;

	for (uint64_t i = first; i < first + count; i++) {
		changed += m->bits[i] != value;
		m->bits[i] = value;
	}
	return changed;
}

static uint64_t model_run(const struct model *m, uint64_t first, uint64_t count)
{
	uint64_t n = 1;

	while (n < count && m->bits[first + n] == m->bits[first])
		n++;
	return n;
}

static uint64_t model_find(const struct model *m, uint64_t first, bool value)
{
	while (first < m->count && m->bits[first] != value)
		first++;
	return first;
}

static void check_looks(struct model *m, uint64_t first, uint64_t count)
{
	uint64_t run = model_run(m, first, count);
	bool value = !m->bits[first];

	assert_int_equal(bitmap_run(&m->map, first, count, &value), run);
	assert_int_equal(value, m->bits[first]);
	assert_int_equal(bitmap_all(&m->map, first, count), value && run == count);
	assert_true(bitmap_all(&m->map, first, 0));
}

static void looks(void **state)
{
	struct rnd r;

	(void)state;
	rnd_init(&r, 1);
	for (size_t i = 0; i < ARRAY_LEN(sizes) * 4; i++) {
		struct model m;

		model_init(&m, sizes[i / 4]);
		model_fill(&m, &r, i % 4 * 20);
		model_check(&m);
		for (uint64_t first = 0; first <= m.count; first++) {
			for (uint64_t count = 1; first + count <= m.count; count++)
				check_looks(&m, first, count);
			for (int value = 0; value < 2; value++)
				assert_int_equal(bitmap_find(&m.map, first, value),
					model_find(&m, first, value));
		}
		bitmap_done(&m.map);
	}
}

static void changes_one_range(struct rnd *r, uint64_t bits, uint64_t first, uint64_t count)
{
	struct model m;

	model_init(&m, bits);
	model_fill(&m, r, 7);
	assert_int_equal(bitmap_set(&m.map, first, count), model_set(&m, first, count, true));
	model_check(&m);
	model_fill(&m, r, 7);
	model_set(&m, first, count, false);
	bitmap_clear(&m.map, first, count);
	model_check(&m);
	bitmap_done(&m.map);
}

static void changes(void **state)
{
	struct rnd r;

	(void)state;
	rnd_init(&r, 2);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		uint64_t step = sizes[i] > 65 ? 13 : 1;

		for (uint64_t first = 0; first <= sizes[i]; first++) {
			for (uint64_t count = 0; first + count <= sizes[i]; count += step)
				changes_one_range(&r, sizes[i], first, count);
			changes_one_range(&r, sizes[i], first, sizes[i] - first);
		}
	}
}

/* Bits behind the end of the map come from files that others wrote. */
static void form_in_files(void **state)
{
	struct rnd r;

	(void)state;
	rnd_init(&r, 3);
	for (uint64_t bits = 1; bits <= BITS_MAX; bits++) {
		uint8_t in[BITS_MAX / 8 + 8], out[BITS_MAX / 8 + 8];
		size_t offset = rnd_below(&r, (bits + 63) / 64) * 8, len;
		struct model m;

		model_init(&m, bits);
		model_fill(&m, &r, 5);
		rnd_fill(&r, in, sizeof(in));
		len = rnd_below(&r, m.map.bytes - offset + 1);
		uint64_t added = 0;
		for (uint64_t i = offset * 8; i < MIN_OF((offset + len) * 8, bits); i++) {
			if (in[i / 8 - offset] >> i % 8 & 1)
				added += model_set(&m, i, 1, true);
		}
		assert_int_equal(bitmap_add(&m.map, offset, in, len), added);
		model_check(&m);
		bitmap_save(&m.map, offset, out, m.map.bytes - offset);
		assert_memory_equal(
			out, (const uint8_t *)m.map.words + offset, m.map.bytes - offset);
		bitmap_done(&m.map);
	}
}

static long resident_kib(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long pages = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*d %ld", &pages), 1);
	fclose(f);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void huge(void **state)
{
	uint64_t half = HUGE_BITS / 2;
	long before = resident_kib();
	struct bitmap b;
	bool value;

	(void)state;
	assert_int_equal(bitmap_init(&b, HUGE_BITS), 0);
	for (uint64_t i = 0; i < 256; i++)
		assert_int_equal(bitmap_set(&b, i * (HUGE_BITS / 256), 1), 1);
	assert_int_equal(bitmap_count(&b), 256);
	bitmap_clear(&b, 0, HUGE_BITS);
	assert_int_equal(bitmap_set(&b, half, 3), 3);
	assert_int_equal(bitmap_run(&b, 0, HUGE_BITS, &value), half);
	assert_false(value);
	assert_int_equal(bitmap_find(&b, half + 3, true), HUGE_BITS);
	assert_int_equal(bitmap_run(&b, half + 3, HUGE_BITS - half - 3, &value), half - 3);
#ifndef __SANITIZE_THREAD__
	assert_in_range(resident_kib() - before, 0, 16 * 1024);
#endif
	(void)before;
	bitmap_done(&b);
	bitmap_done(&b);
}

static void none_at_all(void **state)
{
	struct bitmap b = {0};

	(void)state;
	bitmap_done(&b);
	assert_int_equal(bitmap_init(&b, 0), 0);
	assert_int_equal(bitmap_count(&b), 0);
	assert_int_equal(bitmap_find(&b, 0, true), 0);
	assert_int_equal(bitmap_set(&b, 0, 0), 0);
	bitmap_done(&b);
}

static void too_many(void **state)
{
	struct bitmap b;

	(void)state;
	assert_true(bitmap_init(&b, 1ull << 62) < 0);
	bitmap_done(&b);
}

struct setter {
	pthread_t thread;
	struct bitmap *map;
	uint64_t *payload; /* what the bits stand for; each written by one thread */
	unsigned number;
	uint64_t added;
};

/* All set all of it, in odd ranges: each bit is new to exactly one. */
static void *set_everything(void *arg)
{
	struct setter *s = arg;
	struct rnd r;

	rnd_init(&r, 100 + s->number);
	for (uint64_t i = 0, n; i < SHARED_BITS; i += n) {
		n = MIN_OF(rnd_below(&r, 150) + 1, SHARED_BITS - i);
		s->added += bitmap_set(s->map, i, n);
	}
	return NULL;
}

/* Neighbours in a word, each with something written before. */
static void *set_own(void *arg)
{
	struct setter *s = arg;

	for (uint64_t i = s->number; i < SHARED_BITS; i += THREADS) {
		s->payload[i] = i + 1;
		s->added += bitmap_set(s->map, i, 1);
		i += i % 1000 == s->number ? THREADS : 0;
	}
	return NULL;
}

static void run_threads(
	struct bitmap *map, uint64_t *payload, void *(*run)(void *), struct setter *setters)
{
	for (unsigned i = 0; i < THREADS; i++) {
		setters[i] = (struct setter){.map = map, .payload = payload, .number = i};
		assert_int_equal(pthread_create(&setters[i].thread, NULL, run, &setters[i]), 0);
	}
}

static uint64_t join(struct setter *setters)
{
	uint64_t added = 0;

	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(setters[i].thread, NULL);
		added += setters[i].added;
	}
	return added;
}

static void threads_share_words(void **state)
{
	struct setter setters[THREADS];
	struct bitmap b;

	(void)state;
	assert_int_equal(bitmap_init(&b, SHARED_BITS), 0);
	run_threads(&b, NULL, set_everything, setters);
	assert_int_equal(join(setters), SHARED_BITS);
	assert_true(bitmap_all(&b, 0, SHARED_BITS));
	bitmap_done(&b);
}

/* Who sees a bit sees what was written before it (ThreadSanitizer would tell, too). */
static void bits_publish(void **state)
{
	static uint64_t payload[SHARED_BITS];
	struct setter setters[THREADS];
	uint64_t seen = 0, added;
	struct bitmap b;

	(void)state;
	assert_int_equal(bitmap_init(&b, SHARED_BITS), 0);
	run_threads(&b, payload, set_own, setters);
	for (int round = 0; round < 20; round++) {
		for (uint64_t i = 0; i < SHARED_BITS; i++) {
			i = bitmap_find(&b, i, true);
			if (i < SHARED_BITS && payload[i] != i + 1)
				fail();
		}
	}
	added = join(setters);
	for (uint64_t i = 0; i < SHARED_BITS; i++)
		seen += bitmap_test(&b, i);
	assert_int_equal(seen, added);
	bitmap_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(looks),
		cmocka_unit_test(changes),
		cmocka_unit_test(form_in_files),
		cmocka_unit_test(huge),
		cmocka_unit_test(none_at_all),
		cmocka_unit_test(too_many),
		cmocka_unit_test(threads_share_words),
		cmocka_unit_test(bits_publish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
