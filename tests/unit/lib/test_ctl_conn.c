/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One control connection over a socket pair: pausing for answers that take time, closing behind
 * an error with the peer not reading, sending on a connection that is gone.
 */
#include "ctl.h"
#include "loop.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct {
	struct reactor reactor;
	struct ctl_conn conn;
	int peer;
	unsigned messages;
	bool pause, closed;
} t;

static void message(struct ctl_conn *c, json_t *msg, int fd)
{
	assert_non_null(json_object_get(msg, "v"));
	assert_int_equal(fd, -1);
	t.messages++;
	if (t.pause)
		ctl_pause(c);
}

static void closed(struct ctl_conn *c)
{
	assert_int_equal(c->fd, -1);
	t.closed = true;
}

static const struct ctl_ops ops = {message, closed};

static int set_up(void **state)
{
	int fds[2];

	(void)state;
	memset(&t, 0, sizeof(t));
	assert_int_equal(reactor_init(&t.reactor), 0);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	t.peer = fds[1];
	return ctl_conn_init(&t.conn, &t.reactor, fds[0], &ops);
}

static int tear_down(void **state)
{
	(void)state;
	ctl_conn_done(&t.conn);
	ctl_conn_done(&t.conn);
	fd_close(&t.peer);
	reactor_done(&t.reactor);
	return 0;
}

static void peer_sends(const char *text)
{
	assert_int_equal(send(t.peer, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Sends until the socket takes no more and something is queued. */
static void fill(void)
{
	while (!t.conn.out)
		assert_int_equal(ctl_send(&t.conn, ctl_ok(), -1), 0);
}

static void drain(void)
{
	char bytes[4096];

	while (recv(t.peer, bytes, sizeof(bytes), 0) > 0)
		;
}

/* A message written by its sender: goes out as it is, behind those that wait. */
static void test_text(void **state)
{
	const char text[] = "{\"v\":1,\"ok\":true}, and what is not sent";
	const size_t len = strlen("{\"v\":1,\"ok\":true}");
	char bytes[4096];
	ssize_t n, last = 0;

	(void)state;
	assert_int_equal(ctl_send_text(&t.conn, text, len), 0);
	assert_int_equal(recv(t.peer, bytes, sizeof(bytes), 0), len + 1);
	assert_memory_equal(bytes, "{\"v\":1,\"ok\":true}\n", len + 1);
	fill();
	assert_int_equal(ctl_send_text(&t.conn, "{\"last\":1}", 10), 0);
	for (int i = 0; i < 1000; i++) {
		loop_turn(&t.reactor);
		while ((n = recv(t.peer, bytes, sizeof(bytes), 0)) > 0)
			last = n;
	}
	assert_null(t.conn.out);
	assert_memory_equal(bytes + last - 11, "{\"last\":1}\n", 11);
	ctl_conn_done(&t.conn);
	assert_int_equal(ctl_send_text(&t.conn, text, len), -ENOMEM);
}

static void test_pause(void **state)
{
	(void)state;
	t.pause = true;
	peer_sends("{\"v\":1}\n{\"v\":1}\n{\"v\":1}\n");
	loop_turns(&t.reactor, 3);
	assert_int_equal(t.messages, 1);
	peer_sends("{\"v\":1}\n");
	loop_turns(&t.reactor, 3);
	assert_int_equal(t.messages, 1);
	assert_int_equal(t.conn.watch.events, 0);
	ctl_resume(&t.conn);
	assert_int_equal(t.messages, 2);
	t.pause = false;
	ctl_resume(&t.conn);
	loop_turns(&t.reactor, 2);
	assert_int_equal(t.messages, 4);
	ctl_resume(&t.conn); /* not paused: nothing */
	assert_int_equal(t.conn.watch.events, EPOLLIN);
}

static void test_peer_leaves_while_paused(void **state)
{
	(void)state;
	t.pause = true;
	peer_sends("{\"v\":1}\n");
	loop_turns(&t.reactor, 2);
	fd_close(&t.peer);
	loop_turns(&t.reactor, 2);
	assert_true(t.closed);
	assert_int_equal(t.messages, 1);
	ctl_resume(&t.conn);
	assert_int_equal(t.messages, 1);
}

/* What it has sent is carried out, whether it was received before it left or not. */
static void leave_while_paused(const char *first, const char *rest)
{
	t.pause = true;
	peer_sends(first);
	loop_turns(&t.reactor, 2);
	peer_sends(rest);
	fd_close(&t.peer);
	loop_turns(&t.reactor, 2);
	assert_false(t.closed);
	assert_int_equal(ctl_send(&t.conn, ctl_ok(), -1), 0);
	t.pause = false;
	ctl_resume(&t.conn);
	loop_turns(&t.reactor, 4);
	assert_int_equal(t.messages, 3);
	assert_true(t.closed);
}

static void test_peer_leaves_requests(void **state)
{
	(void)state;
	leave_while_paused("{\"v\":1}\n", "{\"v\":1}\n{\"v\":1}\n");
}

static void test_peer_leaves_received_requests(void **state)
{
	(void)state;
	leave_while_paused("{\"v\":1}\n{\"v\":1}\n{\"v\"", ":1}\n");
}

/* Nor is it lost because we tried to say something in between. */
static void test_peer_leaves_without_reading(void **state)
{
	(void)state;
	assert_int_equal(ctl_send(&t.conn, ctl_ok(), -1), 0);
	peer_sends("{\"v\":1}\n{\"v\":1}\n");
	fd_close(&t.peer);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ctl_send(&t.conn, ctl_ok(), -1), 0);
	loop_turns(&t.reactor, 4);
	assert_int_equal(t.messages, 2);
	assert_true(t.closed);
}

/* The fault lies behind the request that paused: still told, still closed. */
static void test_fault_after_resume(void **state)
{
	char bytes[128] = "";

	(void)state;
	t.pause = true;
	peer_sends("{\"v\":1}\nnonsense\n");
	loop_turns(&t.reactor, 2);
	ctl_resume(&t.conn);
	loop_turns(&t.reactor, 2);
	assert_true(t.closed);
	assert_true(recv(t.peer, bytes, sizeof(bytes) - 1, 0) > 0);
	assert_non_null(strstr(bytes, "must be one JSON object"));
}

/* The error waits behind a full socket: no busy loop over unread input, then it goes out. */
static void test_closing_waits_for_the_peer(void **state)
{
	(void)state;
	fill();
	peer_sends("nonsense\nmore\n");
	loop_turn(&t.reactor);
	peer_sends("and more\n");
	loop_turn(&t.reactor);
	assert_true(t.conn.closing);
	assert_false(t.closed);
	assert_int_equal(t.conn.watch.events, EPOLLOUT);
	for (int i = 0; i < 100 && !t.closed; i++) {
		drain();
		loop_turn(&t.reactor);
	}
	assert_true(t.closed);
	assert_int_equal(t.messages, 0);
}

static void test_queue(void **state)
{
	(void)state;
	fill();
	assert_int_equal(t.conn.watch.events, EPOLLIN | EPOLLOUT);
	assert_true(t.conn.queued > 0);
	while (t.conn.out) {
		drain();
		loop_turn(&t.reactor);
	}
	assert_int_equal(t.conn.queued, 0);
	assert_int_equal(t.conn.watch.events, EPOLLIN);
}

/* What a peer never reads piles up in memory, but not for ever. */
static void test_peer_never_reads(void **state)
{
	char text[64 * 1024];
	size_t sent = 0;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	while (!t.closed) {
		ctl_send(&t.conn, json_pack("{s:s}", "x", text), -1);
		loop_turn(&t.reactor);
		sent += sizeof(text);
		assert_true(sent < 2ULL * CTL_ANSWER_MAX);
	}
	assert_true(sent >= CTL_ANSWER_MAX);
	assert_int_equal(t.conn.queued, 0);
}

static void test_send_when_gone(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	fd_close(&t.peer);
	assert_int_equal(ctl_send(&t.conn, ctl_ok(), -1), 0); /* noticed by the reading side */
	assert_false(t.closed);
	loop_turns(&t.reactor, 2);
	assert_true(t.closed);
	assert_true(ctl_send(&t.conn, ctl_ok(), fd) < 0);
	assert_int_equal(fcntl(fd, F_GETFD), -1); /* taken all the same */
	assert_true(ctl_send(&t.conn, NULL, -1) < 0);
}

/* Whatever its bytes are, an error is answered. */
static void test_error_text(void **state)
{
	char bytes[128] = "";

	(void)state;
	assert_int_equal(ctl_send_error(&t.conn, "n\xc3\xa4me\n\xff cut \xc3"), 0);
	loop_turn(&t.reactor);
	assert_true(recv(t.peer, bytes, sizeof(bytes) - 1, 0) > 0);
	assert_non_null(strstr(bytes, "\"n\xc3\xa4me\\\\x0a\\\\xff cut \\\\xc3\""));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_text),
		TEST(test_pause),
		TEST(test_peer_leaves_while_paused),
		TEST(test_peer_leaves_requests),
		TEST(test_peer_leaves_received_requests),
		TEST(test_peer_leaves_without_reading),
		TEST(test_fault_after_resume),
		TEST(test_closing_waits_for_the_peer),
		TEST(test_queue),
		TEST(test_peer_never_reads),
		TEST(test_send_when_gone),
		TEST(test_error_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
