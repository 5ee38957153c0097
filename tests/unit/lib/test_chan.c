/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages between processes: bodies of every size, descriptors, what is queued while the peer
 * does not read, and both ways a channel ends.
 */
#include "chan.h"
#include "fds.h"
#include "loop.h"
#include "rnd.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { MANY = 5000 };

static struct reactor reactor;
static struct chan a, b;

static struct {
	unsigned count;
	uint32_t type;
	size_t len;
	uint8_t body[CHAN_BODY_MAX];
	int fd;
	unsigned closed;
	unsigned done_after; /* chan_done() in this message; 0 = never */
} got;

static void message(struct chan *c, uint32_t type, const void *body, size_t len, int fd)
{
	assert_true((uintptr_t)body % 8 == 0);
	assert_true(len <= sizeof(got.body));
	memcpy(got.body, body, len);
	got.type = type;
	got.len = len;
	fd_close(&got.fd);
	got.fd = fd;
	if (++got.count == got.done_after)
		chan_done(c);
}

static void closed(struct chan *c)
{
	chan_done(c);
	got.closed++;
}

static const struct chan_ops ops = {message, closed};

static int set_up(void **state)
{
	int fds[2];

	(void)state;
	memset(&got, 0, sizeof(got));
	got.fd = -1;
	assert_int_equal(reactor_init(&reactor), 0);
	assert_int_equal(chan_pair(fds), 0);
	assert_int_equal(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
	assert_int_equal(chan_init(&a, &reactor, fds[0], &ops), 0);
	return chan_init(&b, &reactor, fds[1], &ops);
}

static int tear_down(void **state)
{
	(void)state;
	chan_done(&a);
	chan_done(&b);
	fd_close(&got.fd);
	reactor_done(&reactor);
	return 0;
}

static void test_bodies(void **state)
{
	static const size_t sizes[] = {0, 1, 7, 8, 4096, CHAN_BODY_MAX - 1, CHAN_BODY_MAX};
	static uint8_t body[CHAN_BODY_MAX];
	struct rnd rnd;

	(void)state;
	rnd_init(&rnd, 5);
	rnd_fill(&rnd, body, sizeof(body));
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		assert_int_equal(chan_send(&a, 0xfffffff0u + (uint32_t)i, body, sizes[i], -1), 0);
		loop_turn(&reactor);
		assert_int_equal(got.count, i + 1);
		assert_int_equal(got.type, 0xfffffff0u + i);
		assert_int_equal(got.len, sizes[i]);
		assert_memory_equal(got.body, body, sizes[i]);
		assert_int_equal(got.fd, -1);
	}
	assert_int_equal(chan_send(&a, 1, body, sizeof(body) + 1, -1), -EMSGSIZE);
}

static void test_descriptors(void **state)
{
	int fds[2], kept;

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	kept = fcntl(fds[0], F_DUPFD_CLOEXEC, 0);
	assert_int_equal(chan_send(&a, 1, "x", 1, fds[0]), 0);
	assert_int_equal(fcntl(fds[0], F_GETFD), -1); /* taken */
	loop_turn(&reactor);
	assert_true(fds_same(got.fd, kept));
	assert_int_equal(fcntl(got.fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(chan_send(&b, 2, NULL, 0, fds[1]), 0); /* the other way, no body */
	loop_turn(&reactor);
	assert_int_equal(got.type, 2);
	assert_int_equal(write(got.fd, "!", 1), 1);
	close(kept);
}

/* A refused message still takes its descriptor. */
static void test_descriptor_of_a_failed_send(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(chan_send(&a, 1, got.body, CHAN_BODY_MAX + 1, fd), -EMSGSIZE);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	chan_done(&b);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(chan_send(&a, 1, "x", 1, fd), -EPIPE);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	loop_turn(&reactor);
	assert_int_equal(got.closed, 1);
}

/* What the reader sees must be 0, 1, 2 ... with a descriptor at every 500th. */
static unsigned in_order;

static void message_in_order(struct chan *c, uint32_t type, const void *body, size_t len, int fd)
{
	unsigned n;

	(void)c;
	assert_int_equal(type, in_order);
	assert_int_equal(len, 4 + in_order % 100);
	memcpy(&n, body, sizeof(n));
	assert_int_equal(n, in_order);
	assert_int_equal(fd >= 0, in_order % 500 == 0);
	if (fd >= 0)
		close(fd);
	if (++in_order == MANY)
		reactor_stop(&reactor);
}

static const struct chan_ops ops_in_order = {message_in_order, closed};

static void test_reader_is_late(void **state)
{
	(void)state;
	in_order = 0;
	b.ops = &ops_in_order;
	for (unsigned i = 0; i < MANY; i++) {
		unsigned body[32] = {i};
		int fd = i % 500 ? -1 : open("/dev/null", O_RDONLY | O_CLOEXEC);

		assert_int_equal(chan_send(&a, i, body, 4 + i % 100, fd), 0);
		if (i % 1000 == 999) /* makes room: the next one must not overtake */
			loop_turn(&reactor);
	}
	assert_non_null(a.first); /* or nothing was queued and this test proves nothing */
	loop_run(&reactor);
	assert_int_equal(in_order, MANY);
	assert_null(a.first);
	assert_int_equal(a.watch.events, EPOLLIN);
}

static void test_done_with_a_queue(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		chan_send(&a, i, got.body, 100, i % 1000 ? -1 : open("/dev/null", O_RDONLY));
	assert_non_null(a.first);
	chan_done(&a);
	chan_done(&a);
	while (!got.closed)
		loop_turn(&reactor);
	assert_true(got.count > 0 && got.count < MANY);
}

static void test_peer_closes(void **state)
{
	(void)state;
	chan_send(&a, 1, "last", 4, -1);
	chan_done(&a);
	loop_turns(&reactor, 2);
	assert_int_equal(got.count, 1); /* what was sent arrives first */
	assert_int_equal(got.closed, 1);
	assert_int_equal(b.fd, -1);
}

static void test_done_inside_message(void **state)
{
	(void)state;
	got.done_after = 2;
	for (int i = 0; i < 5; i++)
		chan_send(&a, 1, "x", 1, -1);
	loop_turns(&reactor, 3);
	assert_int_equal(got.count, 2);
	assert_int_equal(b.fd, -1);
	assert_int_equal(got.closed, 1); /* that was A, whose peer is gone */
}

/* Both ways at once. */
static void test_both_ways(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++) {
		chan_send(&a, 1, "x", 1, -1);
		chan_send(&b, 1, "x", 1, -1);
	}
	while (got.count < 400)
		loop_turn(&reactor);
	loop_turn(&reactor);
	assert_int_equal(got.count, 400);
}

/* A frame too short to be one: the peer is no channel. */
static void test_runt(void **state)
{
	(void)state;
	assert_int_equal(send(a.fd, "abc", 3, 0), 3);
	loop_turn(&reactor);
	assert_int_equal(got.closed, 1);
	assert_int_equal(got.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bodies, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_descriptors, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_descriptor_of_a_failed_send, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reader_is_late, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_done_with_a_queue, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_peer_closes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_done_inside_message, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_both_ways, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_runt, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
