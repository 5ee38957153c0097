/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who fetches and who waits in a layer: fills and claims, their errors, and what happens when there
 * are not enough of them. */
#include "layers.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void check_fill(unsigned n, uint64_t first, uint64_t count)
{
	assert_true(n < layers.begun && layers.fills[n]);
	assert_int_equal(layers.fills[n]->claim.first, first);
	assert_int_equal(layers.fills[n]->claim.count, count);
}

/* Fetching. */

static void test_fetched_once(void **state)
{
	unsigned cookies[6];

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		cookies[i] = layers_read(i % 3, 5 * BLOCK + i * 100, 50);
	assert_int_equal(layers.begun, 1);
	check_fill(0, 5, 1);
	for (unsigned i = 0; i < 6; i++)
		assert_true(layers_is_open(cookies[i]));
	layers_end_fill(0, 0);
	for (unsigned i = 0; i < 6; i++)
		layers_check(cookies[i], 5 * BLOCK + i * 100, 50);
	layers_check(layers_read(0, 5 * BLOCK, BLOCK), 5 * BLOCK, BLOCK);
	assert_int_equal(layers.begun, 1);
}

static void test_overlapping_reads(void **state)
{
	unsigned a, b;

	(void)state;
	a = layers_read(0, 0, 4 * BLOCK);
	b = layers_read(1, 2 * BLOCK, 4 * BLOCK);
	assert_int_equal(layers.begun, 2);
	check_fill(0, 0, 4);
	check_fill(1, 4, 2);
	layers_end_fill(1, 0);
	assert_true(layers_is_open(a) && layers_is_open(b));
	layers_end_fill(0, 0);
	layers_check(a, 0, 4 * BLOCK);
	layers_check(b, 2 * BLOCK, 4 * BLOCK);
}

/* What others fetch lies in the middle, what is present too. */
static void test_runs_around_claims(void **state)
{
	unsigned a, b, c;

	(void)state;
	a = layers_read(0, 4 * BLOCK, BLOCK);
	b = layers_read(0, 8 * BLOCK, 2 * BLOCK);
	assert_int_equal(layers_wait(layers_write(1, 6 * BLOCK, BLOCK, 9)), 0);
	c = layers_read(2, 2 * BLOCK, 9 * BLOCK);
	assert_int_equal(layers.begun, 6);
	check_fill(2, 2, 2);
	check_fill(3, 5, 1);
	check_fill(4, 7, 1);
	check_fill(5, 10, 1);
	layers_end_fills();
	layers_check(a, 4 * BLOCK, BLOCK);
	layers_check(b, 8 * BLOCK, 2 * BLOCK);
	layers_check(c, 2 * BLOCK, 9 * BLOCK);
}

/* Whatever the order in which they were begun, what lies behind them is found. */
static void test_runs_behind_claims(void **state)
{
	static const unsigned orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}};
	unsigned cookies[4];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(orders); i++) {
		layers_start_anew();
		for (unsigned k = 0; k < 3; k++)
			cookies[k] = layers_read(k, orders[i][k] * BLOCK, BLOCK);
		cookies[3] = layers_read(3, 0, 6 * BLOCK);
		assert_int_equal(layers.begun, 4);
		check_fill(3, 3, 3);
		layers_end_fills();
		for (unsigned k = 0; k < 4; k++)
			assert_int_equal(layers_wait(cookies[k]), 0);
	}
}

static void test_long_fills_are_cut(void **state)
{
	unsigned a;

	(void)state;
	layers.ops.fill_bytes = 4 * BLOCK + 1;
	a = layers_read(0, 0, 10 * BLOCK);
	check_fill(0, 0, 4);
	check_fill(1, 4, 4);
	check_fill(2, 8, 2);
	layers_end_fills();
	layers_check(a, 0, 10 * BLOCK);
	layers.ops.fill_bytes = 1; /* less than a block: one at a time */
	a = layers_read(0, 100 * BLOCK, 2 * BLOCK);
	check_fill(3, 100, 1);
	check_fill(4, 101, 1);
	layers_end_fills();
	layers_check(a, 100 * BLOCK, 2 * BLOCK);
}

static void test_cache_fetches(void **state)
{
	unsigned a = layers_ask(0, NBD_CMD_CACHE, BLOCK, BLOCK);

	(void)state;
	check_fill(0, 1, 1);
	assert_true(layers_is_open(a));
	layers_end_fill(0, 0);
	assert_int_equal(layers_wait(a), 0);
	layers_check(layers_read(0, BLOCK, BLOCK), BLOCK, BLOCK);
	assert_int_equal(layers.begun, 1);
}

/* Writing. */

static void test_write_waits_for_a_fill(void **state)
{
	unsigned reader = layers_read(0, 0, BLOCK), part, whole;

	(void)state;
	part = layers_write(1, 100, 50, 1);
	whole = layers_write(2, BLOCK, BLOCK, 2); /* of another block: at once */
	assert_int_equal(layers_wait(whole), 0);
	assert_true(layers_is_open(part) && layers_is_open(reader));
	assert_int_equal(layers.begun, 1);
	layers_end_fill(0, 0);
	assert_int_equal(layers_wait(part), 0);
	assert_int_equal(layers_wait(reader), 0);
	layers_check_all();
}

/* The fetched data of a block that is overwritten whole meanwhile is older, and must not win. */
static void test_whole_write_is_not_overwritten(void **state)
{
	unsigned reader = layers_read(0, 0, 2 * BLOCK), zero, trim;

	(void)state;
	zero = layers_ask(1, NBD_CMD_WRITE_ZEROES, 0, BLOCK);
	trim = layers_ask(2, NBD_CMD_TRIM, BLOCK, BLOCK);
	memset(layers.model, 0, 2 * BLOCK);
	assert_true(layers_is_open(zero) && layers_is_open(trim));
	layers_end_fill(0, 0);
	assert_int_equal(layers_wait(zero), 0);
	assert_int_equal(layers_wait(trim), 0);
	assert_int_equal(layers_wait(reader), 0);
	assert_int_equal(layers.begun, 1);
	layers_check_all();
}

static void test_two_writers_of_one_block(void **state)
{
	unsigned a = layers_write(0, 10, 20, 1), b = layers_write(1, 3000, 20, 2);

	(void)state;
	assert_int_equal(layers.begun, 1);
	layers_end_fill(0, 0);
	assert_int_equal(layers_wait(a), 0);
	assert_int_equal(layers_wait(b), 0);
	layers_check_all();
}

/* A write whose data is in place and not vouched for yet: who needs its block waits for it. */
static void test_who_writes_a_block_brings_it_in(void **state)
{
	unsigned a, b, c;

	(void)state;
	layers.hold_commit = true;
	a = layers_write(0, BLOCK, 2 * BLOCK, 1);
	layers_wait_held();
	b = layers_read(1, 2 * BLOCK, BLOCK);
	c = layers_write(2, BLOCK, BLOCK, 2);
	assert_true(layers_is_open(a) && layers_is_open(b) && layers_is_open(c));
	assert_int_equal(layers.begun, 0);
	layers_release(0);
	assert_int_equal(layers_wait(a), 0);
	assert_int_equal(layers_wait(b), 0);
	assert_int_equal(layers_wait(c), 0);
	assert_int_equal(layers.begun, 0);
	layers_check_all();
}

static void test_claims_are_released_on_error(void **state)
{
	unsigned a, b, c;

	(void)state;
	layers.hold_commit = true;
	a = layers_write(0, BLOCK, BLOCK, 1);
	memcpy(layers.model, layers.below, SIZE); /* it will fail */
	layers_wait_held();
	b = layers_read(1, BLOCK, BLOCK);
	c = layers_write(2, BLOCK + 5, 10, 3);
	assert_int_equal(layers.begun, 0);
	layers_release(-ENOSPC);
	assert_int_equal(layers_wait(a), ENOSPC);
	assert_true(layers_is_open(b) && layers_is_open(c));
	assert_int_equal(layers.begun, 1);
	layers_end_fill(0, 0); /* over what the failed write left in the file */
	assert_int_equal(layers_wait(b), 0);
	assert_int_equal(layers_wait(c), 0);
	layers_check_all();
}

/* Errors. */

static void test_error_reaches_who_waited(void **state)
{
	unsigned a = layers_read(0, 0, 2 * BLOCK), b = layers_read(1, BLOCK, 10);
	unsigned part = layers_write(2, 5, 5, 1), whole = layers_write(1, BLOCK, BLOCK, 2);
	unsigned other = layers_read(0, 5 * BLOCK, BLOCK), all = layers_read(3, 0, 6 * BLOCK);

	(void)state;
	memcpy(layers.model, layers.below, BLOCK); /* `part` will fail */
	assert_int_equal(layers.begun, 3);
	layers_end_fill(0, EIO);
	assert_int_equal(layers_wait(a), EIO);
	assert_int_equal(layers_wait(b), EIO);
	assert_int_equal(layers_wait(part), EIO);
	assert_int_equal(layers_wait(all), EIO);
	assert_int_equal(layers_wait(whole), 0); /* needs no old data */
	assert_true(layers_is_open(other));
	layers_end_fill(1, 0);
	layers_end_fill(2, 0);
	layers_check(other, 5 * BLOCK, BLOCK);
	a = layers_read(0, 0, BLOCK); /* is tried anew */
	assert_int_equal(layers.begun, 4);
	layers_end_fill(3, 0);
	layers_check(a, 0, BLOCK);
	layers_check_all();
}

static void test_trim_does_not_mind_errors(void **state)
{
	unsigned a = layers_read(0, 0, BLOCK), trim = layers_ask(1, NBD_CMD_TRIM, 0, BLOCK);

	(void)state;
	layers_end_fill(0, EIO);
	assert_int_equal(layers_wait(a), EIO);
	assert_int_equal(layers_wait(trim), 0);
	memset(layers.model, 0, BLOCK);
	layers_check_all();
}

/* The error of a snapshot's fill, which somebody else makes up for, is none of the image. */
static void test_stale_error(void **state)
{
	unsigned a;
	struct fill *again;

	(void)state;
	layers_open(&layers.snapshot, "snapshot", NULL);
	layers.clients.lane.snapshots[0] = &layers.snapshot;
	layers.clients.lane.snapshot_count = 1;
	a = layers_write(0, 10, 10, 5);
	assert_int_equal(layers.begun, 1);
	assert_ptr_equal(layers.fills[0]->layer, &layers.snapshot);
	layers_end_fill(0, EIO);
	again = layer_take_ahead(&layers.snapshot, 0, 1);
	assert_non_null(again);
	layer_filled(again, layers_put_old(again));
	clients_turn(&layers.clients);
	assert_int_equal(layers.begun, 2);
	layers_end_fill(1, 0);
	assert_int_equal(layers_wait(a), 0);
	layers.clients.lane.snapshot_count = 0;
	layers_check_all();
}

/* A client that is gone does not take its fill with it; others get the block. */
static void test_client_gone(void **state)
{
	unsigned a = layers_read(0, 0, BLOCK), b = layers_read(1, 0, BLOCK);

	(void)state;
	assert_true(layers_is_open(a));
	conn_kill(layers.clients.conns[0]);
	clients_turn(&layers.clients);
	assert_int_equal(layers.clients.ended, 0); /* its request runs */
	layers_end_fill(0, 0);
	layers_check(b, 0, BLOCK);
	assert_int_equal(layers.clients.ended, 1);
}

static void test_break(void **state)
{
	unsigned a = layers_read(0, 0, BLOCK), part, present, whole;

	(void)state;
	present = layers_write(1, 9 * BLOCK, BLOCK, 4);
	assert_int_equal(layers_wait(present), 0);
	part = layers_write(1, 5, 5, 1);
	memcpy(layers.model, layers.below, BLOCK);
	whole = layers_write(2, 0, BLOCK, 2);
	layer_break(&layers.layer, ESHUTDOWN);
	assert_int_equal(layers_wait(a), ESHUTDOWN);
	assert_int_equal(layers_wait(part), ESHUTDOWN);
	assert_true(layers_is_open(whole)); /* the fill may still write there */
	assert_int_equal(layers_wait(layers_read(0, 20 * BLOCK, 1)), ESHUTDOWN);
	layers_check(layers_read(0, 9 * BLOCK, BLOCK), 9 * BLOCK, BLOCK);
	assert_int_equal(layers.begun, 1);
	layers_end_fill(0, EIO);
	assert_int_equal(layers_wait(whole), 0);
	layers_check(layers_read(0, 0, BLOCK), 0, BLOCK);
}

/* More runs than there are fills. */

static void make_holes(void)
{
	for (unsigned b = 1; b < BLOCKS; b += 2)
		assert_int_equal(
			layers_wait(layers_write(b % CLIENTS, b * BLOCK, BLOCK, (uint8_t)b)), 0);
}

static void test_starved(void **state)
{
	unsigned a, b, c;

	(void)state;
	make_holes();
	a = layers_read(0, 0, SIZE);
	assert_int_equal(layers.begun, LAYER_FILLS_MAX);
	b = layers_read(1, 590 * BLOCK, BLOCK);
	c = layers_write(2, 580 * BLOCK + 7, 7, 7);
	assert_int_equal(layers.begun, LAYER_FILLS_MAX);
	assert_true(layers_is_open(b) && layers_is_open(c));
	layers_end_fill(0, 0);
	clients_turn(&layers.clients);
	assert_int_equal(layers.begun, LAYER_FILLS_MAX + 1);
	for (unsigned i = 1; i < layers.begun; i++) {
		layers_end_fill(i, 0);
		clients_turn(&layers.clients);
	}
	assert_int_equal(layers.begun, BLOCKS / 2 + 1);
	layers_check(b, 590 * BLOCK, BLOCK);
	assert_int_equal(layers_wait(c), 0);
	assert_int_equal(layers_wait(a), 0);
	layers_check_all();
}

/* All fills end between two turns of the lane. Who is awake already when one fails asks again. */
static void test_starved_all_at_once(void **state)
{
	unsigned a, b;

	(void)state;
	make_holes();
	a = layers_read(0, 0, SIZE);
	b = layers_read(1, 598 * BLOCK, BLOCK);
	for (unsigned i = 0; i < LAYER_FILLS_MAX; i++)
		layers_end_fill(i, i == 100 ? EIO : 0);
	for (int i = 0; i < 10; i++) {
		clients_turn(&layers.clients);
		layers_end_fills();
	}
	layers_check(a, 0, SIZE);
	assert_int_equal(layers_wait(b), 0);
	assert_int_equal(layers.begun, BLOCKS / 2 + 2);
}

/* Fetching ahead. */

static unsigned told_calls;
static int told_result;

static void note_told(struct fill *f, int result)
{
	assert_ptr_equal(f->owner, &layers);
	told_calls++;
	told_result = result;
}

static int ahead(uint64_t from, uint64_t end, uint64_t max, uint64_t *next)
{
	return layer_fill_ahead(&layers.layer, from, end, max, false, note_told, &layers, next);
}

static void test_fill_ahead(void **state)
{
	uint64_t next = 0;
	unsigned a;

	(void)state;
	told_calls = 0;
	assert_int_equal(ahead(2, 10, UINT64_MAX, &next), 1);
	assert_int_equal(next, 10);
	assert_int_equal(ahead(2, 10, UINT64_MAX, &next), 0);
	assert_int_equal(ahead(0, 20, 3, &next), 1);
	check_fill(1, 0, 2);
	assert_int_equal(ahead(0, 20, 3, &next), 1);
	check_fill(2, 10, 3);
	assert_int_equal(next, 13);
	a = layers_read(0, 3 * BLOCK, BLOCK);
	assert_int_equal(layers.begun, 3);
	layers_end_fill(0, 0);
	layers_check(a, 3 * BLOCK, BLOCK);
	assert_true(told_calls == 1 && told_result == 0);
	layers_end_fill(1, EIO);
	assert_true(told_calls == 2 && told_result == -EIO);
	assert_int_equal(ahead(0, 20, 3, &next), 1); /* failed: is absent again */
	check_fill(3, 0, 2);
	layer_break(&layers.layer, EIO);
	assert_int_equal(ahead(100, 110, 3, &next), 0);
}

static void test_no_fill_left_ahead(void **state)
{
	uint64_t next;
	struct fill *f;

	(void)state;
	for (unsigned i = 0; i < LAYER_FILLS_MAX; i++)
		assert_int_equal(ahead(0, BLOCKS, 1, &next), 1);
	assert_int_equal(ahead(0, BLOCKS, 1, &next), -EAGAIN);
	assert_null(layer_take_ahead(&layers.layer, 0, BLOCKS));
	layers_end_fills();
	f = layer_take_ahead(&layers.layer, 0, BLOCKS);
	assert_int_equal(f->claim.first, LAYER_FILLS_MAX);
	assert_int_equal(layer_length(&layers.layer, &f->claim), SIZE - LAYER_FILLS_MAX * BLOCK);
	layer_filled(f, layers_put_old(f));
	assert_null(layer_take_ahead(&layers.layer, 0, BLOCKS));
	layers_check_all();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, layers_set_up, layers_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_fetched_once),
		TEST(test_overlapping_reads),
		TEST(test_runs_around_claims),
		TEST(test_runs_behind_claims),
		TEST(test_long_fills_are_cut),
		TEST(test_cache_fetches),
		TEST(test_write_waits_for_a_fill),
		TEST(test_whole_write_is_not_overwritten),
		TEST(test_two_writers_of_one_block),
		TEST(test_who_writes_a_block_brings_it_in),
		TEST(test_claims_are_released_on_error),
		TEST(test_error_reaches_who_waited),
		TEST(test_trim_does_not_mind_errors),
		TEST(test_stale_error),
		TEST(test_client_gone),
		TEST(test_break),
		TEST(test_starved),
		TEST(test_starved_all_at_once),
		TEST(test_fill_ahead),
		TEST(test_no_fill_left_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
