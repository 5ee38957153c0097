/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections of a lane under a limit: how many requests begin in which time, in which order, and
 * that who waits is woken by its timer and by nothing else. The clock is moved by hand.
 */
#include "throttle.h"
#include "util.h"
#include "waits.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct throttle throttle;

static struct lane *lane(void)
{
	return &waits.clients.lane;
}

/* So many a second; requests go on by themselves. */
static void limit(uint64_t requests, uint64_t bytes)
{
	throttle_set(&throttle, THROTTLE_REQUESTS, requests);
	throttle_set(&throttle, THROTTLE_BYTES, bytes);
	limiter_change(lane(), requests || bytes ? &throttle : NULL);
	clients_turn(&waits.clients);
}

static int set_up(void **state)
{
	memset(&throttle, 0, sizeof(throttle));
	waits_set_up(state);
	waits.open = true;
	return 0;
}

static void ask(unsigned id, unsigned count, size_t length)
{
	while (count-- > 0)
		waits_ask(id, NBD_CMD_READ, 0, length);
}

/* Replies that came, of cookies from FIRST on. */
static unsigned answered(unsigned first, unsigned count)
{
	unsigned n = 0;

	clients_turn(&waits.clients);
	for (unsigned i = first; i < first + count; i++)
		n += waits.clients.asked[i].done;
	return n;
}

static void test_burst_then_rate(void **state)
{
	(void)state;
	limit(50, 0);
	ask(0, 40, 512);
	assert_int_equal(answered(0, 40), 6); /* a tenth of 50, and the next one */
	for (unsigned i = 7; i <= 40; i++) {
		waits_later(19);
		assert_int_equal(answered(0, 40), i - 1);
		waits_later(1);
		assert_int_equal(answered(0, 40), i);
	}
	assert_int_equal(lane()->reactor.timers, 1); /* that of the idle lane */
}

/* Nothing happens before its time comes: the lane sleeps. */
static void test_quiet(void **state)
{
	(void)state;
	limit(1, 0);
	for (unsigned id = 0; id < CLIENTS; id++)
		ask(id, 5, 512);
	clients_turn(&waits.clients);
	assert_null(lane()->reactor.deferred.first);
	assert_null(lane()->waiting);
	assert_int_equal(answered(0, 20), 1);
}

static void test_in_turn(void **state)
{
	(void)state;
	limit(10, 0);
	for (unsigned id = 0; id < CLIENTS; id++)
		ask(id, 50, 512);
	waits_later(100);
	for (unsigned i = 0; i < 100; i++) {
		unsigned most = 0, least = UINT32_MAX;

		for (unsigned id = 0; id < CLIENTS; id++) {
			unsigned n = answered(id * 50, 50);

			most = MAX_OF(most, n);
			least = MIN_OF(least, n);
		}
		assert_in_range(most - least, 0, 3); /* of the burst, of the first one */
		waits_later(100);
	}
	assert_in_range(answered(0, 200), 100, 104);
}

/* Short ones have their turn between the slices of a long one. */
static void test_slices(void **state)
{
	(void)state;
	limit(0, 160 * 1024);
	ask(0, 1, 320 * 1024);
	ask(1, 20, 4096);
	for (int i = 0; i < 10; i++)
		waits_later(100);
	assert_int_equal(answered(0, 1), 0);
	assert_in_range(answered(1, 20), 5, 12);
	for (int i = 0; i < 20; i++)
		waits_later(100);
	assert_int_equal(answered(0, 21), 21);
}

/* A request that had to wait for memory as well has been paid for. */
static void test_paid_once(void **state)
{
	(void)state;
	lane()->limits.requests = 1;
	waits.open = false;
	limit(10, 0);
	ask(0, 6, 512);
	for (unsigned i = 1; i <= 6; i++) {
		assert_int_equal(waits.begun, i);
		for (int k = 0; k < 3; k++) {
			conn_wake(waits.clients.conns[0]);
			clients_turn(&waits.clients);
		}
		waits_later(i == 1 ? 0 : 100);
		waits_let_go();
		clients_turn(&waits.clients);
	}
	assert_int_equal(answered(0, 6), 6);
}

static void test_changes(void **state)
{
	(void)state;
	limit(1, 0);
	ask(0, 10, 512);
	ask(1, 10, 512);
	assert_int_equal(answered(0, 20), 1);
	limit(100, 0);
	assert_in_range(answered(0, 20), 11, 13);
	limit(1, 0);
	waits_later(1000);
	limit(0, 0);
	assert_int_equal(answered(0, 20), 20);
	ask(0, 100, 512);
	assert_int_equal(answered(20, 100), 100);
}

static void test_one_that_leaves(void **state)
{
	(void)state;
	limit(1, 0);
	ask(0, 10, 512);
	ask(1, 10, 512);
	conn_leave(waits.clients.conns[1]);
	assert_int_equal(answered(10, 10), 10);
	assert_true(waits_is_over(1));
	assert_int_equal(answered(0, 10), 1);
}

static void test_end(void **state)
{
	(void)state;
	limit(1, 0);
	ask(0, 10, 512);
	ask(1, 10, 512);
	conn_kill(waits.clients.conns[1]);
	lane_drain(lane());
	clients_turn(&waits.clients);
	assert_int_equal(waits.clients.ended, 1);
	assert_int_equal(answered(0, 10), 10);
	assert_true(waits_is_over(0));
}

/* It closes while it waits. */
static void test_client_gone(void **state)
{
	(void)state;
	limit(1, 0);
	ask(0, 10, 512);
	shutdown(waits.clients.peers[0].fd, SHUT_RDWR);
	clients_turn(&waits.clients);
	assert_int_equal(waits.clients.ended, 1);
	waits_later(10 * 1000);
	assert_int_equal(waits.clients.ended, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, waits_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_burst_then_rate),
		TEST(test_quiet),
		TEST(test_in_turn),
		TEST(test_slices),
		TEST(test_paid_once),
		TEST(test_changes),
		TEST(test_one_that_leaves),
		TEST(test_end),
		TEST(test_client_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
