/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lobby's listeners: how many, stopping, crowds at the door, and running out of descriptors. */
#include "clock.h"
#include "hall.h"
#include "loop.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>

#include <cmocka.h>

enum { CROWD = 150 };

static void test_stop_listening(void **state)
{
	int before, fd;

	(void)state;
	hall_listen();
	before = hall_connect();
	hall_until_count(1);
	lobby_stop_listening(&hall.lobby);
	assert_int_equal(sock_connect_unix(temp_path(&hall.temp, "sock"), NULL), -ECONNREFUSED);
	hall_send(before, "f3 go:disk"); /* who is in the lobby goes on */
	hall_until(&hall.entered, 1);
	lobby_stop_listening(&hall.lobby);
	close(before);
	hall_listen();
	fd = hall_connect();
	hall_until_count(1);
	close(fd);
}

static void test_listeners_max(void **state)
{
	char name[8] = "s00";
	int fd;

	(void)state;
	for (int i = 0; i <= SOCK_LISTEN_MAX; i++) {
		name[1] = (char)('0' + i / 10);
		name[2] = (char)('0' + i % 10);
		fd = sock_listen_unix(temp_path(&hall.temp, name), 0600, NULL);
		assert_true(fd >= 0);
		assert_int_equal(lobby_listen(&hall.lobby, fd), i < SOCK_LISTEN_MAX ? 0 : -ENFILE);
	}
	assert_int_equal(fcntl(fd, F_GETFD), -1); /* taken all the same */
	assert_int_equal(hall.lobby.listening, SOCK_LISTEN_MAX);
	temp_path(&hall.temp, "s63");
	fd = sock_connect_unix(hall.temp.path, NULL);
	hall_until_count(1);
	close(fd);
}

/* Descriptors that epoll refuses are closed; nothing changes. */
static void test_refused_descriptors(void **state)
{
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(lobby_admit(&hall.lobby, fd), -EPERM);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	assert_int_equal(lobby_listen(&hall.lobby, fd), -EPERM);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(hall.lobby.count, 0);
	assert_int_equal(hall.lobby.listening, 0);
	assert_int_equal(hall.left, 0);
}

/* More than are accepted in one turn, most of them silent. */
static void test_crowd(void **state)
{
	int fds[CROWD];

	(void)state;
	hall_listen();
	for (int i = 0; i < CROWD; i++)
		fds[i] = hall_connect();
	hall_until(&hall.left, CROWD - HALL_MAX);
	assert_int_equal(hall.lobby.count, HALL_MAX);
	assert_int_equal(hall.last_left, CROWD - HALL_MAX);
	for (int i = 0; i < CROWD - HALL_MAX; i++)
		hall_expect_closed(fds[i]);
	for (int i = CROWD - HALL_MAX; i < CROWD; i++) {
		hall_expect_open(fds[i]);
		close(fds[i]);
	}
}

/* Connects a client, and lets turns pass in which it cannot be accepted. */
static int connect_without_descriptors(void)
{
	struct rlimit old, low;
	int client;

	hall_listen();
	client = hall_connect();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)client + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	loop_turns(&hall.reactor, 50);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	return client;
}

/* Out of descriptors: a pause instead of a busy loop, and then on with who has waited. */
static void test_out_of_descriptors(void **state)
{
	int client = connect_without_descriptors();

	(void)state;
	assert_int_equal(hall.lines, 1);
	assert_int_equal(hall.lobby.listeners[0].watch.events, 0);
	loop_turns(&hall.reactor, 5);
	assert_int_equal(hall.lobby.count, 0);
	clock_set_for_test(hall.start + 1000);
	hall_until_count(1);
	close(client);
}

static void test_stopped_during_the_pause(void **state)
{
	int client = connect_without_descriptors();

	(void)state;
	assert_int_equal(hall.reactor.timers, 1);
	lobby_stop_listening(&hall.lobby);
	assert_int_equal(hall.reactor.timers, 0);
	hall_expect_closed(client); /* by the listener's end */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, hall_set_up, hall_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_stop_listening),
		TEST(test_listeners_max),
		TEST(test_refused_descriptors),
		TEST(test_crowd),
		TEST(test_out_of_descriptors),
		TEST(test_stopped_during_the_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
