/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lobby over real sockets and a real reactor: who enters, who leaves, who gives way when it is
 * full, clients found by id, lookups answered late or too late.
 */
#include "clock.h"
#include "hall.h"
#include "loop.h"
#include "util.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

#define GO "go:EXPORT(1099511628288,d6d) go:BLOCK(1,4096,67108864) go:ACK"

static void test_enter(void **state)
{
	int client;
	char byte = 0;

	(void)state;
	hall_listen();
	client = hall_connect();
	hall_send(client, "f3 go:disk");
	hall_until(&hall.entered, 1);
	assert_int_equal(hall.lookups, 1);
	assert_int_equal(hall.left, 0);
	assert_int_equal(hall.lobby.count, 0);
	assert_null(lobby_find(&hall.lobby, hall.last_lookup));
	hall_expect(client, GO);
	assert_int_equal(send(client, "x", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(recv(hall.fd, &byte, 1, MSG_DONTWAIT), 1); /* the connection is ours now */
	assert_int_equal(byte, 'x');
	close(client);
}

static void test_enter_over_tcp(void **state)
{
	struct sock_list list = {0};
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(sock_listen_tcp("127.0.0.1", 0, &list, NULL), 0);
	assert_int_equal(getsockname(list.fds[0], (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(lobby_listen(&hall.lobby, list.fds[0]), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&ss, len), 0);
	hall_send(client, "f3 go:ro");
	hall_until(&hall.entered, 1);
	assert_true(fcntl(hall.fd, F_GETFL) & O_NONBLOCK);
	close(client);
}

static void test_enter_but_not_taken(void **state)
{
	int client = hall_admit();

	(void)state;
	hall.leave = true;
	hall_send(client, "f3 go:disk");
	hall_until(&hall.entered, 1);
	assert_int_equal(hall.left, 0);
	hall_expect_closed(client);
}

/* Hanging up, saying goodbye, sending nonsense and being too slow are all the same. */
static void test_left(void **state)
{
	int a = hall_admit(), b = hall_admit(), c = hall_admit(), d = hall_admit();

	(void)state;
	loop_turns(&hall.reactor, 2);
	close(a);
	hall_until(&hall.left, 1);
	assert_int_equal(hall.last_left, 1);
	hall_send(b, "f3 abort");
	hall_until(&hall.left, 2);
	assert_int_equal(hall.last_left, 2);
	hall_expect_closed(b);
	hall_send(c, "f3 hex:00112233445566778899aabbccddeeff");
	hall_until(&hall.left, 3);
	hall_expect_closed(c);
	clock_set_for_test(hall.start + HANDSHAKE_OPTION_MS);
	hall_until(&hall.left, 4);
	assert_int_equal(hall.last_left, 4);
	hall_expect_closed(d);
	assert_int_equal(hall.lobby.count, 0);
	assert_null(hall.lobby.oldest);
	assert_null(hall.lobby.newest);
	assert_int_equal(hall.entered, 0);
}

static void test_left_may_be_null(void **state)
{
	struct lobby_ops without = hall_ops;
	int client;

	(void)state;
	without.left = NULL;
	hall.lobby.ops = &without;
	client = hall_admit();
	loop_turn(&hall.reactor);
	close(client);
	hall_until_count(0);
	hall.lobby.ops = &hall_ops;
}

static void test_oldest_gives_way(void **state)
{
	int fds[HALL_MAX + 2];

	(void)state;
	for (int i = 0; i < HALL_MAX; i++)
		fds[i] = hall_admit();
	loop_turns(&hall.reactor, 2);
	assert_int_equal(hall.left, 0);
	fds[HALL_MAX] = hall_admit();
	assert_int_equal(hall.left, 1);
	assert_int_equal(hall.last_left, 1);
	hall_expect_closed(fds[0]);
	close(fds[2]); /* one in the middle leaves by itself: room again */
	hall_until(&hall.left, 2);
	fds[0] = hall_admit();
	assert_int_equal(hall.left, 2);
	fds[HALL_MAX + 1] = hall_admit();
	assert_int_equal(hall.left, 3);
	assert_int_equal(hall.last_left, 2);
	hall_expect_closed(fds[1]);
	assert_int_equal(hall.lobby.count, HALL_MAX);
	hall_send(fds[3], "f3 go:disk"); /* the others are served */
	hall_send(fds[HALL_MAX + 1], "f3 go:disk");
	hall_until(&hall.entered, 2);
	assert_int_equal(hall.lines, 2); /* one warning each */
	close(fds[0]);
	close(fds[3]);
	close(fds[HALL_MAX]);
	close(fds[HALL_MAX + 1]);
}

/* Ids stay unique and are never given to two, also when one client sits in its slot for long. */
static void test_find(void **state)
{
	int sits = hall_admit();
	struct lobby_client *c = lobby_find(&hall.lobby, 1);
	uint64_t last = 1;

	(void)state;
	assert_non_null(c);
	assert_null(lobby_find(&hall.lobby, 0));
	assert_null(lobby_find(&hall.lobby, 2));
	assert_null(lobby_find(&hall.lobby, 1 + HALL_MAX)); /* the same slot */
	for (unsigned i = 1; i <= 3 * HALL_MAX; i++) {
		int client = hall_admit();
		uint64_t id = hall.lobby.newest->id;

		assert_true(id > last);
		assert_ptr_equal(lobby_find(&hall.lobby, id), hall.lobby.newest);
		assert_ptr_equal(lobby_find(&hall.lobby, 1), c);
		last = id;
		close(client);
		hall_until(&hall.left, i);
		assert_null(lobby_find(&hall.lobby, id));
	}
	close(sits);
	hall_until_count(0);
	assert_null(lobby_find(&hall.lobby, 1));
}

static void test_answered_later(void **state)
{
	int a = hall_admit(), b = hall_admit();

	(void)state;
	hall.later = true;
	hall_send(a, "f3 go:disk");
	hall_until(&hall.lookups, 1);
	assert_int_equal(hall.last_lookup, 1);
	hall_send(b, "f3 go:gone");
	hall_until(&hall.lookups, 2);
	loop_turns(&hall.reactor, 3);
	assert_int_equal(hall.entered, 0);
	hall_answer(lobby_find(&hall.lobby, 2));
	loop_turns(&hall.reactor, 3);
	hall_expect(b, "go:POLICY");
	assert_int_equal(hall.lobby.count, 2); /* refused, but it may ask again */
	hall_answer(lobby_find(&hall.lobby, 1));
	hall_until(&hall.entered, 1);
	hall_expect(a, GO);
	close(a);
	close(b);
}

/* Whoever answers late looks the client up first, and finds it gone: hung up, or given way. */
static void test_answer_after_the_client_left(void **state)
{
	int a = hall_admit(), crowd[HALL_MAX], b;

	(void)state;
	hall.later = true;
	hall_send(a, "f3 go:disk");
	hall_until(&hall.lookups, 1);
	close(a);
	hall_until(&hall.left, 1);
	assert_null(lobby_find(&hall.lobby, hall.last_lookup));
	b = hall_admit();
	hall_send(b, "f3 go:disk");
	hall_until(&hall.lookups, 2);
	assert_non_null(lobby_find(&hall.lobby, hall.last_lookup));
	for (int i = 0; i < HALL_MAX; i++)
		crowd[i] = hall_admit();
	assert_int_equal(hall.left, 2);
	assert_null(lobby_find(&hall.lobby, hall.last_lookup));
	hall_expect_closed(b);
	assert_int_equal(hall.entered, 0);
	for (int i = 0; i < HALL_MAX; i++)
		close(crowd[i]);
}

static void test_oldstyle(void **state)
{
	int client;

	(void)state;
	hall.lobby.oldstyle = session_facts(SESSION_ID_RO);
	client = hall_admit();
	hall_until(&hall.entered, 1);
	assert_int_equal(hall.lookups, 0);
	close(client);
}

/* The end: everyone is told, everything is closed (see tear_down). */
static void test_done(void **state)
{
	int a = hall_admit(), b = hall_admit(), c;

	(void)state;
	hall_listen();
	c = hall_connect();
	hall_until_count(3);
	hall.later = true;
	hall_send(b, "f3 go:disk");
	hall_until(&hall.lookups, 1);
	lobby_done(&hall.lobby);
	assert_int_equal(hall.left, 3);
	assert_int_equal(hall.last_left, 3); /* oldest first */
	hall_expect_closed(a);
	hall_expect_closed(b);
	hall_expect_closed(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, hall_set_up, hall_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_enter),
		TEST(test_enter_over_tcp),
		TEST(test_enter_but_not_taken),
		TEST(test_left),
		TEST(test_left_may_be_null),
		TEST(test_oldest_gives_way),
		TEST(test_find),
		TEST(test_answered_later),
		TEST(test_answer_after_the_client_left),
		TEST(test_oldstyle),
		TEST(test_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
