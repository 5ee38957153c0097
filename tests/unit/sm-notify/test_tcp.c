/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Conversations over TCP with a server of the test's own, whose answer is any bytes: whole, in
 * pieces, too many, none. How many there are at a time, and what is left when all is over.
 */
#include "buf.h"
#include "check.h"
#include "loop.h"
#include "tcp.h"
#include "util.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

enum { UNITS = 3000, XID = 77, CONNECTIONS_MAX = 4096 };

static struct reactor reactor;
static struct tcp tcp;
static struct self self;
static struct addr here;

/* The server. */
static struct reactor_watch listener;
static uint16_t port;
static struct reactor_watch connections[CONNECTIONS_MAX];
static unsigned accepted;
static uint8_t answer[4096];
static size_t answer_len, piece; /* PIECE 0: all at once */
static bool closes;              /* after its answer */
static uint8_t asked[2048];
static size_t asked_len;

/* Orders and what became of them. */
static unsigned orders[UNITS], ended, good;
static enum plan_fault last_fault;
static uint8_t last_name, last_result[64];
static size_t last_len;
static bool all_ended;
static unsigned wanted;

static void on_asked(struct reactor_watch *w, uint32_t events)
{
	ssize_t n = recv(w->fd, asked, sizeof(asked), 0);
	size_t step = piece ? piece : answer_len;

	(void)events;
	if (n <= 0) {
		int fd = w->fd;

		reactor_remove(&reactor, w);
		close(fd);
		return;
	}
	asked_len = (size_t)n;
	for (size_t at = 0; at < answer_len; at += step) {
		if (send(w->fd, answer + at, MIN_OF(step, answer_len - at), MSG_NOSIGNAL) < 0)
			return;
	}
	if (closes)
		shutdown(w->fd, SHUT_WR);
}

static void on_connection(struct reactor_watch *w, uint32_t events)
{
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0)
		return;
	CHECK(accepted < CONNECTIONS_MAX);
	reactor_add(&reactor, &connections[accepted++], fd, EPOLLIN, on_asked);
}

static void start_server(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	union addr_sock at;
	socklen_t len = addr_to_sock(&here, 0, &at);

	assert_int_equal(bind(fd, &at.any, len), 0);
	assert_int_equal(listen(fd, 1000), 0);
	assert_int_equal(getsockname(fd, &at.any, &len), 0);
	port = ntohs(at.v4.sin_port);
	assert_int_equal(reactor_add(&reactor, &listener, fd, EPOLLIN, on_connection), 0);
}

static void stop_server(void)
{
	for (unsigned i = 0; i < accepted; i++) {
		if (!connections[i].fn)
			continue;
		reactor_remove(&reactor, &connections[i]);
		close(connections[i].fd);
	}
	if (!listener.fn)
		return;
	reactor_remove(&reactor, &listener);
	close(listener.fd);
}

static bool on_begin(void *arg, uint32_t unit, struct tcp_order *ret)
{
	CHECK(arg == &tcp);
	if (orders[unit] == 0)
		return false;
	orders[unit]--;
	*ret = (struct tcp_order){.name = (uint8_t)unit, .to = here, .port = port, .xid = XID};
	ret->step = (struct plan_step){.what = PLAN_TELL, .cand = 3, .by = RPC_TCP, .port = port};
	ret->len = rpc_call_notify(ret->call, XID, "me", 2, 3);
	return true;
}

static void on_end(void *arg, const struct tcp_end *e)
{
	CHECK(arg == &tcp && e->step.cand == 3 && e->name == (uint8_t)e->unit);
	last_fault = e->fault;
	last_name = e->name;
	if (e->reply) {
		CHECK(e->reply->len <= sizeof(last_result));
		good++;
		last_len = e->reply->len;
		memcpy(last_result, e->reply->result, last_len);
	}
	all_ended = ++ended == wanted;
}

static void set_answer(const char *body, size_t len)
{
	static const uint32_t head[] = {0, XID, 1, 0, 0, 0, 0};

	for (size_t i = 0; i < 7; i++)
		set_u32(answer + 4 * i, head[i]);
	memcpy(answer + 28, body, len);
	rpc_put_mark(answer, 24 + len);
	answer_len = 28 + len;
}

static int set_up(void **state)
{
	struct tcp_handler h = {on_begin, on_end, &tcp};

	(void)state;
	ended = good = accepted = wanted = 0;
	all_ended = closes = false;
	piece = asked_len = 0;
	memset(orders, 0, sizeof(orders));
	memset(&self, 0, sizeof(self));
	memset(&listener, 0, sizeof(listener));
	assert_true(addr_parse("127.0.0.1", &here));
	assert_int_equal(reactor_init(&reactor), 0);
	start_server();
	set_answer("", 0);
	return tcp_init(&tcp, &reactor, &self, UNITS, &h);
}

static int tear_down(void **state)
{
	(void)state;
	tcp_done(&tcp);
	stop_server();
	assert_int_equal(reactor.timers, 0);
	reactor_done(&reactor);
	return 0;
}

static void want(uint32_t unit, unsigned count)
{
	orders[unit] += count;
	wanted += count;
	tcp_want(&tcp, unit);
}

static void run(void)
{
	all_ended = ended == wanted;
	while (!all_ended)
		loop_until(&reactor, &all_ended);
	loop_turns(&reactor, 2);
	assert_int_equal(tcp.count, 0);
}

static void test_one(void **state)
{
	uint8_t call[RPC_CALL_MAX];
	size_t len = rpc_call_notify(call, XID, "me", 2, 3);

	(void)state;
	set_answer("abcd", 4);
	want(5, 1);
	assert_int_equal(ended, 0);
	run();
	assert_int_equal(good, 1);
	assert_int_equal(last_name, 5);
	assert_int_equal(last_len, 4);
	assert_memory_equal(last_result, "abcd", 4);
	assert_int_equal(asked_len, RPC_MARK + len);
	assert_int_equal(get_u32(asked), 0x80000000 | len);
	assert_memory_equal(asked + RPC_MARK, call, len);
}

static void test_pieces(void **state)
{
	(void)state;
	for (piece = 1; piece <= 30; piece++) {
		want(1, 1);
		run();
	}
	assert_int_equal(good, 30);
}

static void test_several_of_a_unit(void **state)
{
	(void)state;
	want(1, 5);
	want(2, 3);
	run();
	assert_int_equal(good, 8);
	assert_int_equal(tcp.total, 8);
}

static enum plan_fault fault_with(size_t len, bool then_closes)
{
	answer_len = len;
	closes = then_closes;
	want(1, 1);
	run();
	assert_int_equal(good, 0);
	return last_fault;
}

static void test_bad_answers(void **state)
{
	(void)state;
	for (size_t len = 0; len < 28; len++)
		assert_int_equal(fault_with(len, true), PLAN_CUT);
	set_u32(answer, 0xffffffff); /* 2 GiB */
	assert_int_equal(fault_with(28, false), PLAN_BAD_REPLY);
	set_u32(answer, 0x80000000); /* nothing */
	assert_int_equal(fault_with(28, false), PLAN_BAD_REPLY);
	set_answer("", 0);
	set_u32(answer + 4, XID + 1);
	assert_int_equal(fault_with(28, false), PLAN_BAD_REPLY);
	memset(answer, 0, sizeof(answer)); /* fragments of no bytes, without end */
	assert_int_equal(fault_with(4096, true), PLAN_CUT);
}

static void test_refused(void **state)
{
	(void)state;
	stop_server();
	assert_int_equal(fault_with(0, false), PLAN_REFUSED);
}

static void test_no_way(void **state)
{
	(void)state;
	assert_true(addr_parse("255.255.255.255", &here));
	assert_int_equal(fault_with(0, false), PLAN_UNREACHABLE);
	assert_true(addr_parse("127.0.0.1", &here));
	self.count = 1; /* no address of this family to come from */
	assert_true(addr_parse("::1", &self.addrs[0]));
	assert_int_equal(fault_with(0, false), PLAN_UNREACHABLE);
}

static void test_from_our_address(void **state)
{
	(void)state;
	self.count = 1;
	assert_true(addr_parse("127.0.0.9", &self.addrs[0]));
	want(1, 1);
	run();
	assert_int_equal(good, 1);
}

/* A thousand at a time, whoever waits gets its turn. */
static void test_limit(void **state)
{
	(void)state;
	answer_len = 0;
	tcp.limit = 100;
	for (uint32_t u = 0; u < 400; u++)
		want(u, 1);
	loop_turns(&reactor, 20);
	assert_int_equal(tcp.count, 100);
	assert_int_equal(tcp.total, 100);
	for (uint32_t u = 0; u < 100; u++)
		tcp_forget(&tcp, u);
	assert_int_equal(tcp.count, 0);
	loop_turns(&reactor, 20);
	assert_int_equal(tcp.count, 100);
	assert_int_equal(ended, 0); /* those forgotten say nothing */
	for (uint32_t u = 0; u < 400; u++)
		tcp_forget(&tcp, u);
	assert_int_equal(tcp.count, 0);
	assert_int_equal(tcp.turns.count, 0);
}

static void test_crowd(void **state)
{
	(void)state;
	tcp.limit = 64;
	for (uint32_t u = 0; u < UNITS; u++)
		want(u, 1);
	run();
	assert_int_equal(good, UNITS);
}

/* No descriptor left: fewer at a time from then on; who had bad luck is told so. */
static void test_descriptors(void **state)
{
	struct rlimit old, few;
	int used = dup(0);

	(void)state;
	close(used);
	reactor_change(&reactor, &listener, 0); /* connected, but nobody accepts them */
	getrlimit(RLIMIT_NOFILE, &old);
	few = (struct rlimit){(rlim_t)used + 20, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (uint32_t u = 0; u < 200; u++)
		want(u, 1);
	loop_turns(&reactor, 5);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(ended, 1);
	assert_int_equal(last_fault, PLAN_SILENT);
	assert_in_range(tcp.limit, 8, 20);
	assert_int_equal(tcp.count, tcp.limit);
	assert_int_equal(tcp.turns.count, 200);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one),
		TEST(test_pieces),
		TEST(test_several_of_a_unit),
		TEST(test_bad_answers),
		TEST(test_refused),
		TEST(test_no_way),
		TEST(test_from_our_address),
		TEST(test_limit),
		TEST(test_crowd),
		TEST(test_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
