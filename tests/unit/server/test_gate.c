/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The gate of a lane, with real requests: a write of part of an absent block is inside until its
 * fill has ended.
 */
#include "layers.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static unsigned emptied;

static struct gate *gate(void)
{
	return &layers.clients.lane.gate;
}

static void empty(struct gate *g)
{
	assert_ptr_equal(g, gate());
	assert_int_equal(g->inside, 0);
	emptied++;
}

static int set_up(void **state)
{
	emptied = 0;
	return layers_set_up(state);
}

/* Of part of block B: waits for a fill. */
static unsigned write_part(unsigned id, uint64_t b)
{
	return layers_write(id, b * BLOCK + 5, 10, 7);
}

static void test_nobody_inside(void **state)
{
	(void)state;
	gate_close(gate(), empty);
	assert_int_equal(emptied, 1);
	gate_open(gate());
	gate_close(gate(), empty);
	assert_int_equal(emptied, 2);
	gate_open(gate());
	assert_int_equal(emptied, 2);
}

static void test_waits_for_all_inside(void **state)
{
	unsigned a = write_part(0, 0), b = write_part(1, 1), trim;

	(void)state;
	assert_int_equal(gate()->inside, 2);
	gate_close(gate(), empty);
	layers_end_fill(1, 0);
	assert_int_equal(layers_wait(b), 0);
	assert_int_equal(emptied, 0);
	trim = layers_ask(2, NBD_CMD_TRIM, 5 * BLOCK, BLOCK);
	assert_true(layers_is_open(trim));
	layers_end_fill(0, 0);
	assert_int_equal(layers_wait(a), 0);
	assert_int_equal(emptied, 1);
	assert_true(layers_is_open(trim));
	gate_open(gate());
	assert_int_equal(layers_wait(trim), 0);
	memset(layers.model + 5 * BLOCK, 0, BLOCK);
	layers_check_all();
	assert_int_equal(emptied, 1);
}

/* One that fails has left, too. */
static void test_failed_inside(void **state)
{
	unsigned a = write_part(0, 0);

	(void)state;
	gate_close(gate(), empty);
	layers_end_fill(0, EIO);
	assert_int_equal(layers_wait(a), EIO);
	assert_int_equal(emptied, 1);
	gate_open(gate());
	assert_int_equal(gate()->inside, 0);
}

static void test_others_pass(void **state)
{
	unsigned read;

	(void)state;
	gate_close(gate(), empty);
	read = layers_read(0, 0, BLOCK);
	assert_int_equal(layers.begun, 1);
	layers_end_fill(0, 0);
	layers_check(read, 0, BLOCK);
	assert_int_equal(layers_wait(layers_ask(0, NBD_CMD_FLUSH, 0, 0)), 0);
	assert_int_equal(layers_wait(layers_ask(0, NBD_CMD_CACHE, 0, BLOCK)), 0);
	assert_int_equal(gate()->inside, 0);
	gate_open(gate());
}

static void test_held_in_order(void **state)
{
	static const unsigned order[] = {3, 1, 2, 0, 1, 3};
	unsigned cookies[ARRAY_LEN(order)];

	(void)state;
	gate_close(gate(), empty);
	for (unsigned i = 0; i < ARRAY_LEN(order); i++)
		cookies[i] = write_part(order[i], 10 * i);
	assert_int_equal(layers.begun, 0);
	gate_open(gate());
	assert_int_equal(layers.begun, ARRAY_LEN(order));
	assert_int_equal(gate()->inside, ARRAY_LEN(order));
	for (unsigned i = 0; i < ARRAY_LEN(order); i++)
		assert_int_equal(layers.fills[i]->claim.first, 10 * i);
	layers_end_fills();
	for (unsigned i = 0; i < ARRAY_LEN(order); i++)
		assert_int_equal(layers_wait(cookies[i]), 0);
	assert_int_equal(gate()->inside, 0);
	layers_check_all();
}

/* Closed again before what was held has ended: that is inside now. */
static void test_closed_again(void **state)
{
	unsigned a, b;

	(void)state;
	gate_close(gate(), empty);
	a = write_part(0, 0);
	gate_open(gate());
	gate_close(gate(), empty);
	b = write_part(1, 1);
	assert_int_equal(emptied, 1);
	layers_end_fill(0, 0);
	assert_int_equal(layers_wait(a), 0);
	assert_int_equal(emptied, 2);
	assert_true(layers_is_open(b));
	gate_open(gate());
	layers_end_fill(1, 0);
	assert_int_equal(layers_wait(b), 0);
}

/* Requests of a client that is gone are carried out all the same, and then it ends. */
static void test_client_gone(void **state)
{
	(void)state;
	gate_close(gate(), empty);
	layers_write(0, 0, BLOCK, 3);
	conn_kill(layers.clients.conns[0]);
	clients_turn(&layers.clients);
	assert_int_equal(layers.clients.ended, 0);
	gate_open(gate());
	for (int ms = 0; layers.clients.ended == 0 && ms < PATIENCE_MS; ms++) {
		clients_turn(&layers.clients);
		usleep(1000);
	}
	assert_int_equal(gate()->inside, 0);
	layers_check_all();
}

static void test_empty_requests(void **state)
{
	unsigned a;

	(void)state;
	assert_int_equal(layers_wait(layers_ask(0, NBD_CMD_TRIM, 5, 0)), 0);
	assert_int_equal(gate()->inside, 0);
	gate_close(gate(), empty);
	a = layers_ask(0, NBD_CMD_WRITE_ZEROES, 5, 0);
	assert_true(layers_is_open(a));
	gate_open(gate());
	assert_int_equal(layers_wait(a), 0);
	assert_int_equal(gate()->inside, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, layers_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nobody_inside),
		TEST(test_waits_for_all_inside),
		TEST(test_failed_inside),
		TEST(test_others_pass),
		TEST(test_held_in_order),
		TEST(test_closed_again),
		TEST(test_client_gone),
		TEST(test_empty_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
