/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What changes do to a layer: every alignment, layers with a base, block status, and random
 * requests against a model. */
#include "check.h"
#include "file.h"
#include "layers.h"
#include "rnd.h"
#include "util.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Every alignment: which blocks are fetched, and what is there afterwards. */

static const uint64_t edges[] = {0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK - 1, 2 * BLOCK,
	2 * BLOCK + 1, SIZE - LAST - BLOCK, SIZE - LAST - 1, SIZE - LAST, SIZE - LAST + 1, SIZE - 1,
	SIZE};

static bool is_part(uint64_t block, uint64_t from, uint64_t end)
{
	return from > block * BLOCK || end < MIN_OF((block + 1) * (uint64_t)BLOCK, (uint64_t)SIZE);
}

static void run_change(enum nbd_cmd type, uint64_t from, uint64_t end)
{
	uint64_t first = from / BLOCK, last = (end - 1) / BLOCK;
	unsigned want = 0, cookie;

	layers_start_anew();
	if (type == NBD_CMD_WRITE)
		cookie = layers_write(0, from, end - from, 7);
	else
		cookie = layers_ask(0, type, from, end - from);
	for (int ms = 0; layers_is_open(cookie) && ms < PATIENCE_MS; ms++)
		layers_end_fills();
	assert_int_equal(layers_wait(cookie), 0);
	if (type != NBD_CMD_TRIM)
		want = is_part(first, from, end) + (last > first && is_part(last, from, end));
	assert_int_equal(layers.begun, want);
	for (uint64_t b = first; b <= last; b++) {
		bool stays = type == NBD_CMD_TRIM && is_part(b, from, end);

		assert_int_equal(bitmap_test(&layers.layer.map.present, b), !stays);
		for (uint64_t i = MAX_OF(from, b * BLOCK);
			!stays && i < MIN_OF(end, (b + 1) * BLOCK); i++)
			layers.model[i] = type == NBD_CMD_WRITE ? 7 : 0;
	}
	layers_check_all();
}

static void all_changes(enum nbd_cmd type)
{
	for (size_t i = 0; i < ARRAY_LEN(edges); i++) {
		for (size_t j = i + 1; j < ARRAY_LEN(edges); j++) {
			if (edges[j] - edges[i] <= 64 * 1024)
				run_change(type, edges[i], edges[j]);
		}
	}
}

static void test_alignment_of_writes(void **state)
{
	(void)state;
	all_changes(NBD_CMD_WRITE);
}

static void test_alignment_of_zeroes(void **state)
{
	(void)state;
	all_changes(NBD_CMD_WRITE_ZEROES);
}

static void test_alignment_of_trims(void **state)
{
	(void)state;
	all_changes(NBD_CMD_TRIM);
}

/* A trim of part of a present block works there, and leaves an absent one beside it alone. */
static void test_trim_of_parts(void **state)
{
	(void)state;
	assert_int_equal(layers_wait(layers_write(0, 0, BLOCK, 1)), 0);
	assert_int_equal(layers_wait(layers_ask(0, NBD_CMD_TRIM, 100, BLOCK)), 0);
	memset(layers.model + 100, 0, BLOCK - 100);
	assert_false(bitmap_test(&layers.layer.map.present, 1));
	assert_int_equal(layers.begun, 0);
	layers_check_all();
}

/* With a base. */

static void test_base_is_read(void **state)
{
	(void)state;
	layers_use_base();
	layers_check_all();
	assert_int_equal(layers_wait(layers_write(0, 3 * BLOCK, 2 * BLOCK, 1)), 0);
	assert_int_equal(layers_wait(layers_write(0, SIZE - LAST, LAST, 2)), 0);
	assert_int_equal(layers_wait(layers_ask(1, NBD_CMD_TRIM, 10 * BLOCK, BLOCK)), 0);
	memset(layers.model + 10 * BLOCK, 0, BLOCK);
	layers_check_all();
	assert_int_equal(layers_wait(layers_ask(1, NBD_CMD_CACHE, 0, SIZE)), 0);
	assert_int_equal(layers.begun, 0);
}

static void check_extents(
	uint64_t offset, uint64_t length, size_t max, const struct extent *want, size_t count)
{
	struct extent got[16];
	int n = layer_extents(&layers.layer.storage, offset, length, got, max);

	assert_int_equal(n, count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(got[i].length, want[i].length);
		assert_int_equal(got[i].state, want[i].state);
	}
}

static void test_extents_of_both(void **state)
{
	const uint32_t hole = NBD_STATE_HOLE | NBD_STATE_ZERO;
	const struct extent want[] = {{5 * BLOCK, 0}, {4 * BLOCK, hole}, {SIZE - 9 * BLOCK, 0}};

	(void)state;
	layers_use_base();
	CHECK(fallocate(file_of(layers.layer.top)->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      0, SIZE) == 0);
	CHECK(truncate(temp_path(&layers.temp, "base"), 5 * BLOCK) == 0);
	CHECK(truncate(temp_path(&layers.temp, "base"), SIZE) == 0);
	assert_int_equal(layers_wait(layers_write(0, 3 * BLOCK, BLOCK, 1)), 0);
	assert_int_equal(layers_wait(layers_ask(0, NBD_CMD_TRIM, 7 * BLOCK, BLOCK)), 0);
	for (unsigned b = 9; b < BLOCKS - 1; b += 30)
		assert_int_equal(layers_wait(layers_write(
					 0, b * BLOCK, MIN_OF(30U, BLOCKS - 1 - b) * BLOCK, 1)),
			0);
	assert_int_equal(layers_wait(layers_write(0, SIZE - LAST, LAST, 1)), 0);
	check_extents(0, SIZE, 16, want, 3);
	check_extents(0, SIZE, 2, (struct extent[]){{5 * BLOCK, 0}, {2 * BLOCK, hole}}, 2);
	check_extents(6 * BLOCK + 1, 10, 16, (struct extent[]){{10, hole}}, 1);
	check_extents(SIZE - 1, 1, 1, (struct extent[]){{1, 0}}, 1);
}

static void test_extents_without_base(void **state)
{
	const uint32_t hole = NBD_STATE_HOLE | NBD_STATE_ZERO;
	const struct extent want[] = {{4 * BLOCK, 0}, {BLOCK, hole}, {SIZE - 5 * BLOCK, 0}};

	(void)state;
	assert_int_equal(layers_wait(layers_write(0, 0, BLOCK, 1)), 0);
	assert_int_equal(layers_wait(layers_ask(0, NBD_CMD_TRIM, 4 * BLOCK, BLOCK)), 0);
	check_extents(0, SIZE, 16, want, 3); /* absent is as data: nobody knows */
}

/* Each client owns every fourth stretch of 1000 bytes: blocks are shared, bytes are not. */
static void one_random(unsigned id, struct rnd *random)
{
	uint64_t stretch = rnd_below(random, SIZE / 1000 / CLIENTS - 1) * CLIENTS + id;
	uint64_t at = stretch * 1000 + rnd_below(random, 500);
	size_t len = 1 + (size_t)rnd_below(random, 499);
	unsigned kind = (unsigned)rnd_below(random, 4);

	if (kind == 0) {
		layers_ask(id, NBD_CMD_WRITE_ZEROES, at, len);
		memset(layers.model + at, 0, len);
	} else if (kind == 1) {
		layers_read(id, at, len);
	} else {
		layers_write(id, at, len, (uint8_t)rnd_next(random));
	}
}

/* Requests of a client on its own bytes may be under way at once, so it waits for each. */
static void run_random(uint64_t stream)
{
	unsigned last[CLIENTS] = {0};
	struct rnd random;

	rnd_init(&random, stream);
	layers.threaded = true;
	for (unsigned i = 0; i < 2000; i++) {
		unsigned id = i % CLIENTS;

		if (i >= CLIENTS)
			assert_int_equal(layers_wait(last[id]), 0);
		last[id] = layers.clients.count;
		one_random(id, &random);
	}
	for (unsigned id = 0; id < CLIENTS; id++)
		assert_int_equal(layers_wait(last[id]), 0);
	layers_check(layers_read(0, 0, SIZE), 0, SIZE);
}

static void test_random(void **state)
{
	(void)state;
	run_random(1);
}

static void test_random_with_base(void **state)
{
	(void)state;
	layers_use_base();
	run_random(2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, layers_set_up, layers_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_alignment_of_writes),
		TEST(test_alignment_of_zeroes),
		TEST(test_alignment_of_trims),
		TEST(test_trim_of_parts),
		TEST(test_base_is_read),
		TEST(test_extents_of_both),
		TEST(test_extents_without_base),
		TEST(test_random),
		TEST(test_random_with_base),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
