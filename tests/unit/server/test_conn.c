/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a connection is ended by us: between requests, with everything answered that was received,
 * however busy the client is; and what becomes of it when the export changes its size.
 */
#include "buf.h"
#include "loop.h"
#include "util.h"
#include "waits.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { LEAVE_MS = 500, LINGER_MS = 1000, LONG_MS = 60 * 1000 };

static struct conn *conn(unsigned id)
{
	return waits.clients.conns[id];
}

static unsigned read_some(unsigned id)
{
	return waits_ask(id, NBD_CMD_READ, 0, 4096);
}

/* The head of a write of LENGTH bytes, and SENT bytes of its payload. */
static void begin_write(unsigned id, uint64_t offset, uint32_t length, size_t sent)
{
	static uint8_t bytes[NBD_REQUEST_EXT_BYTES + 4096];
	const struct nbd_request nbd = {.type = NBD_CMD_WRITE, .offset = offset, .length = length};
	size_t n = nbd_request_encode(bytes, false, &nbd) + sent;

	assert_int_equal(send(waits.clients.peers[id].fd, bytes, n, MSG_NOSIGNAL), n);
	clients_turn(&waits.clients);
}

static void test_at_rest(void **state)
{
	(void)state;
	conn_leave(conn(1));
	assert_true(waits_is_over(1));
	assert_false(waits_is_over(0));
	assert_int_equal(waits.clients.ended, 0); /* until the client has closed, too */
	shutdown(waits.clients.peers[1].fd, SHUT_RDWR);
	clients_turn(&waits.clients);
	assert_int_equal(waits.clients.ended, 1);
	assert_null(conn(1));
}

static void test_client_that_does_not_close(void **state)
{
	(void)state;
	conn_leave(conn(1));
	assert_true(waits_is_over(1));
	waits_later(LINGER_MS - 1);
	assert_int_equal(waits.clients.ended, 0);
	waits_later(1);
	assert_int_equal(waits.clients.ended, 1);
}

/* What comes meanwhile is done as well. */
static void test_under_way(void **state)
{
	unsigned a = read_some(0), b;

	(void)state;
	conn_leave(conn(0));
	b = read_some(0);
	assert_false(waits_is_over(0));
	assert_int_equal(waits.begun, 2);
	waits_let_go();
	assert_true(waits_is_done(a) && waits_is_done(b));
	assert_true(waits_is_over(0));
}

/* It becomes deaf after a while, and that may last as long as the disk takes. */
static void test_never_at_rest(void **state)
{
	unsigned a = read_some(0), b;

	(void)state;
	conn_leave(conn(0));
	waits_later(LEAVE_MS - 1);
	b = read_some(0);
	waits_later(1);
	read_some(0);
	assert_int_equal(waits.begun, 2);
	for (int i = 0; i < 10; i++)
		waits_later(LONG_MS);
	assert_false(waits_is_over(0));
	waits_let_go();
	assert_true(waits_is_done(a) && waits_is_done(b));
	assert_int_equal(waits.begun, 2);
	assert_true(waits_is_over(0));
}

/* What has come, and had no room yet, is done even so. */
static void test_deaf_with_a_stash(void **state)
{
	unsigned cookies[20];

	(void)state;
	waits.clients.lane.limits.requests = 3;
	for (size_t i = 0; i < ARRAY_LEN(cookies); i++)
		cookies[i] = read_some(0);
	assert_int_equal(waits.begun, 3);
	conn_leave(conn(0));
	waits_later(LEAVE_MS);
	for (size_t i = 0; i < ARRAY_LEN(cookies); i++)
		waits_let_go();
	for (unsigned i = 0; i < waits.begun; i++)
		assert_true(waits_is_done(cookies[i]));
	assert_true(waits_is_over(0));
}

static void test_half_a_request(void **state)
{
	(void)state;
	begin_write(0, 0, 8192, 100);
	conn_leave(conn(0));
	waits_later(LEAVE_MS - 1);
	assert_false(waits_is_over(0));
	waits_later(1);
	assert_true(waits_is_over(0));
	assert_int_equal(waits.begun, 0);
	assert_int_equal(waits.clients.lane.pool.used, 0);
}

static void test_left_twice(void **state)
{
	unsigned a = read_some(0);

	(void)state;
	conn_leave(conn(0));
	waits_later(LEAVE_MS / 2);
	conn_leave(conn(0)); /* not from the beginning */
	waits_later(LEAVE_MS / 2);
	assert_true(conn(0)->deaf);
	waits_let_go();
	assert_true(waits_is_done(a));
}

/* The end of the server is no different, not even for one that is leaving already. */
static void test_drained(void **state)
{
	unsigned a = read_some(0), b;

	(void)state;
	conn_leave(conn(0));
	lane_drain(&waits.clients.lane);
	clients_turn(&waits.clients);
	b = read_some(0);
	assert_int_equal(waits.begun, 2);
	waits_let_go();
	assert_true(waits_is_done(a) && waits_is_done(b));
	for (unsigned i = 0; i < CLIENTS; i++)
		assert_true(waits_is_over(i));
}

static void test_killed(void **state)
{
	(void)state;
	read_some(0);
	conn_leave(conn(0));
	conn_cut(conn(0));
	assert_true(waits_is_over(0));
	assert_int_equal(waits.clients.ended, 0);
	waits_let_go();
	assert_int_equal(waits.clients.ended, 1);
}

static void test_same_size(void **state)
{
	(void)state;
	assert_false(conn_resize(conn(0), WAITS_SIZE));
	assert_false(conn(0)->leaving);
	waits.open = true;
	assert_true(waits_is_done(read_some(0)));
}

/* It goes on with what it was told, for as long as it is there. */
static void test_longer(void **state)
{
	unsigned a = read_some(0), b;

	(void)state;
	assert_true(conn_resize(conn(0), 2 * WAITS_SIZE));
	b = waits_ask(0, NBD_CMD_READ, WAITS_SIZE - 4096, 4096);
	assert_int_equal(
		clients_wait(&waits.clients, waits_ask(0, NBD_CMD_READ, WAITS_SIZE, 512)), EINVAL);
	assert_false(conn_resize(conn(0), 3 * WAITS_SIZE)); /* leaves already */
	waits_let_go();
	assert_true(waits_is_done(a) && waits_is_done(b));
	assert_true(waits_is_over(0));
}

static void test_shorter(void **state)
{
	unsigned a = read_some(0);

	(void)state;
	assert_true(conn_resize(conn(0), WAITS_SIZE / 2));
	assert_int_equal(
		clients_wait(&waits.clients, waits_ask(0, NBD_CMD_WRITE, WAITS_SIZE / 2, 512)),
		ENOSPC);
	waits_let_go();
	assert_true(waits_is_done(a));
	assert_true(waits_is_over(0));
}

/* Its payload is still coming, and is thrown away. */
static void test_shorter_while_a_write_comes(void **state)
{
	static const uint8_t rest[3996];
	uint8_t reply[16];

	(void)state;
	begin_write(0, WAITS_SIZE - 4096, 4096, 100);
	begin_write(1, 0, 4096, 100);
	for (unsigned i = 0; i < 2; i++) {
		int fd = waits.clients.peers[i].fd;

		assert_true(conn_resize(conn(i), WAITS_SIZE / 2));
		assert_int_equal(send(fd, rest, sizeof(rest), MSG_NOSIGNAL), sizeof(rest));
		loop_turns(&waits.clients.lane.reactor, 3);
		if (i == 1) {
			assert_int_equal(waits.begun, 1);
			break;
		}
		assert_int_equal(recv(fd, reply, sizeof(reply), MSG_DONTWAIT), sizeof(reply));
		assert_int_equal(get_u32(reply + 4), ENOSPC);
		assert_int_equal(waits.begun, 0);
	}
	assert_true(waits_is_over(0));
}

static bool is_idle(unsigned id)
{
	return conn_is_idle(conn(id), waits.now, 1000);
}

static void test_idle(void **state)
{
	(void)state;
	assert_false(is_idle(0));
	waits_later(999);
	assert_false(is_idle(0));
	waits_later(1);
	assert_true(is_idle(0));
	waits.open = true;
	assert_true(waits_is_done(read_some(0)));
	assert_false(is_idle(0));
	waits_later(1000);
	assert_true(is_idle(0));
	conn_leave(conn(0));
	assert_false(is_idle(0));
}

static void test_not_idle(void **state)
{
	(void)state;
	read_some(0);
	waits_later(LONG_MS);
	assert_false(is_idle(0));
	waits_later(LONG_MS);
	assert_false(is_idle(0)); /* as long as the disk takes */
	begin_write(1, 0, 4096, 100);
	assert_false(is_idle(1));
	waits_later(1000);
	assert_true(is_idle(1)); /* half a request is none */
}

/* All by the lane's own timer. */
static void test_idle_are_ended(void **state)
{
	(void)state;
	waits.clients.lane.limits.idle_ms = 1000;
	waits.open = true;
	lane_watch_rest(&waits.clients.lane);
	for (int i = 0; i < 6; i++) {
		waits_later(250);
		if (i < 3)
			assert_true(waits_is_done(read_some(0)));
	}
	for (unsigned i = 1; i < CLIENTS; i++)
		assert_true(waits_is_over(i));
	assert_false(waits_is_over(0));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, waits_set_up, waits_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_at_rest),
		TEST(test_client_that_does_not_close),
		TEST(test_under_way),
		TEST(test_never_at_rest),
		TEST(test_deaf_with_a_stash),
		TEST(test_half_a_request),
		TEST(test_left_twice),
		TEST(test_drained),
		TEST(test_killed),
		TEST(test_same_size),
		TEST(test_longer),
		TEST(test_shorter),
		TEST(test_shorter_while_a_write_comes),
		TEST(test_idle),
		TEST(test_not_idle),
		TEST(test_idle_are_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
