/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UDP sockets over the loopback interface: batches there and back, ports, the rate, and errors that
 * belong to one datagram. A plain socket is the other side.
 */
#include "buf.h"
#include "check.h"
#include "loop.h"
#include "net.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct reactor reactor;
static struct net *net;
static struct self self;
static struct addr here;
static int peer; /* bound to 127.0.0.1 */
static uint16_t peer_port;

static unsigned replies, failures, rooms;
static struct addr last_from;
static struct net_failure last_failure;
static size_t last_len;

static void on_reply(void *arg, const struct addr *from, const uint8_t *bytes, size_t len)
{
	CHECK(arg == &reactor);
	(void)bytes;
	replies++;
	last_from = *from;
	last_len = len;
}

static void on_failure(void *arg, const struct net_failure *f)
{
	CHECK(arg == &reactor);
	failures++;
	last_failure = *f;
}

static void on_room(void *arg)
{
	CHECK(arg == &reactor);
	rooms++;
}

static uint16_t bind_peer(int fd)
{
	union addr_sock at;
	socklen_t len = addr_to_sock(&here, 0, &at);

	assert_int_equal(bind(fd, &at.any, len), 0);
	assert_int_equal(getsockname(fd, &at.any, &len), 0);
	return ntohs(at.v4.sin_port);
}

static int set_up(void **state)
{
	(void)state;
	replies = failures = rooms = 0;
	memset(&self, 0, sizeof(self));
	assert_true(addr_parse("127.0.0.1", &here));
	net = calloc(1, sizeof(*net));
	assert_non_null(net);
	net->socket[NET_V4].fd = net->socket[NET_V6].fd = -1;
	peer = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	peer_port = bind_peer(peer);
	return reactor_init(&reactor);
}

static int tear_down(void **state)
{
	(void)state;
	net_done(net);
	free(net);
	close(peer);
	reactor_done(&reactor);
	return 0;
}

static void open_net(uint16_t port)
{
	struct net_handler h = {on_reply, on_failure, on_room, &reactor};
	struct err err = {0};

	assert_int_equal(net_open(net, &self, port, &err), 0);
	assert_int_equal(net_start(net, &reactor, &h), 0);
}

static uint16_t port_of(int fd)
{
	union addr_sock at;
	socklen_t len = sizeof(at);

	assert_int_equal(getsockname(fd, &at.any, &len), 0);
	return ntohs(at.v4.sin_port);
}

static void send_number(uint32_t n)
{
	uint8_t bytes[8] = {0};

	set_u32(bytes, n);
	assert_true(net_send(net, &here, peer_port, bytes, sizeof(bytes)));
}

/* Sends back what has arrived; how many. */
static unsigned echo(void)
{
	uint8_t bytes[RPC_CALL_MAX];
	union addr_sock from;
	unsigned n = 0;

	for (;;) {
		socklen_t from_len = sizeof(from);
		ssize_t len = recvfrom(peer, bytes, sizeof(bytes), 0, &from.any, &from_len);

		if (len < 0)
			return n;
		assert_int_equal(sendto(peer, bytes, (size_t)len, 0, &from.any, from_len), len);
		n++;
	}
}

static void test_there_and_back(void **state)
{
	(void)state;
	open_net(0);
	for (uint32_t i = 1; i <= 100; i++)
		send_number(i);
	loop_turns(&reactor, 2);
	assert_int_equal(echo(), 100);
	loop_turns(&reactor, 2);
	assert_int_equal(replies, 100);
	assert_true(addr_equal(&last_from, &here));
	assert_int_equal(last_len, 8);
	assert_int_equal(net_counts(net).sent, 100);
	assert_int_equal(net_counts(net).received, 100);
	assert_int_equal(net_counts(net).dropped, 0);
	assert_int_equal(failures, 0);
}

static void test_long_datagrams(void **state)
{
	uint8_t call[RPC_CALL_MAX] = {0};

	(void)state;
	open_net(0);
	assert_true(net_send(net, &here, peer_port, call, sizeof(call)));
	loop_turns(&reactor, 2);
	assert_int_equal(echo(), 1);
	loop_turns(&reactor, 2);
	assert_int_equal(replies, 1);
	assert_int_equal(last_len, RPC_REPLY_MAX); /* the rest is nothing we need */
}

/* Nobody listens: told for each datagram, with its number, address and port; others get through. */
static void test_refused(void **state)
{
	uint16_t closed;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint8_t bytes[8] = {0, 0, 0, 9};

	(void)state;
	closed = bind_peer(fd);
	close(fd);
	open_net(0);
	for (uint32_t i = 0; i < 20; i++) {
		assert_true(net_send(net, &here, closed, bytes, sizeof(bytes)));
		send_number(i);
		loop_turns(&reactor, 2);
	}
	assert_int_equal(echo(), 20);
	loop_turns(&reactor, 2);
	assert_int_equal(replies, 20);
	assert_int_equal(failures, 20);
	assert_int_equal(last_failure.code, ECONNREFUSED);
	assert_int_equal(last_failure.xid, 9);
	assert_int_equal(last_failure.port, closed);
	assert_true(addr_equal(&last_failure.to, &here));
}

/* The kernel itself says no: the same, and from the end of the turn only. */
static void test_no_way(void **state)
{
	uint8_t bytes[8] = {0, 0, 0, 9};
	struct addr bad;

	(void)state;
	assert_true(addr_parse("255.255.255.255", &bad)); /* not without asking for broadcasts */
	open_net(0);
	assert_true(net_send(net, &bad, 111, bytes, sizeof(bytes)));
	send_number(1);
	assert_int_equal(failures, 0);
	loop_turns(&reactor, 2);
	assert_int_equal(failures, 1);
	assert_int_equal(last_failure.code, EACCES);
	assert_int_equal(last_failure.xid, 9);
	assert_int_equal(echo(), 1);
}

static void test_rate(void **state)
{
	uint32_t window;

	(void)state;
	open_net(0);
	window = net->window;
	assert_in_range(window, 1, 100000);
	assert_int_equal(net_allowance(net), window);
	for (uint32_t i = 0; i < 5; i++)
		send_number(i);
	assert_int_equal(net_allowance(net), window - 5);
	loop_turns(&reactor, 2);
	echo();
	loop_turns(&reactor, 2); /* answered */
	assert_true(net_allowance(net) >= window - 5);
	net->in_air = window + 3; /* more than allowed: answers to answers */
	net->slot = reactor.now;
	assert_int_equal(net_allowance(net), 0);
	reactor.now += NET_SLOT_MS;
	assert_int_equal(net_allowance(net), window);
}

/* Ports. */

static void test_port_of_both(void **state)
{
	struct net *other = calloc(1, sizeof(*other));
	struct err err = {0};
	uint16_t port;

	(void)state;
	open_net(0);
	if (!net_has(net, true))
		skip();
	net_done(net);
	port = 0;
	for (uint16_t p = 40000; p < 50000 && !port; p += 7) {
		if (net_open(net, &self, p, &err) == 0)
			port = p;
	}
	assert_int_equal(port_of(net->socket[NET_V4].fd), port);
	assert_int_equal(port_of(net->socket[NET_V6].fd), port);
	assert_int_equal(net_open(other, &self, port, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "cannot send from port"));
	assert_int_equal(other->socket[NET_V4].fd, -1);
	free(other);
}

static void test_own_addresses(void **state)
{
	struct err err = {0};

	(void)state;
	snprintf(self.name, sizeof(self.name), "me.lab.test");
	self.count = 2;
	assert_true(addr_parse("192.0.2.77", &self.addrs[0])); /* not ours, but one is enough */
	assert_true(addr_parse("127.0.0.9", &self.addrs[1]));
	open_net(0);
	assert_true(net_has(net, false));
	assert_false(net_has(net, true));
	send_number(1);
	loop_turns(&reactor, 2);
	assert_int_equal(echo(), 1);
	assert_false(net_send(net, &(struct addr){.ip = {0xfd}}, 1, (const uint8_t *)"x", 1));
	net_done(net);
	self.count = 1;
	assert_int_equal(net_open(net, &self, 0, &err), -EADDRNOTAVAIL);
	assert_string_equal(err.text, "me.lab.test: not an address of this host");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_there_and_back),
		TEST(test_long_datagrams),
		TEST(test_refused),
		TEST(test_no_way),
		TEST(test_rate),
		TEST(test_port_of_both),
		TEST(test_own_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
