/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The driver of the handshake over a real socket pair and reactor: lookups answered at once and
 * later, deadlines with a clock moved by hand, clients that leave, send everything at once, read
 * nothing or never stop sending.
 */
#include "loop.h"
#include "render.h"
#include "script.h"
#include "shake.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { INFOS = 5000 };

#define GO "go:EXPORT(1099511628288,d6d) go:BLOCK(1,4096,67108864) go:ACK"

static void test_go(void **state)
{
	char byte;

	(void)state;
	shake_send("f3 info:gone go:disk hex:25");
	loop_until(&shake.reactor, &shake.finished);
	assert_true(shake.go);
	assert_int_equal(shake.lookups, 2);
	assert_int_equal(shake.h.neg.lookup_id, SESSION_ID_DISK);
	shake_expect(true, "info:POLICY " GO);
	/* what belongs to the transmission is still in the socket */
	assert_int_equal(recv(shake.fd, &byte, 1, 0), 1);
	assert_int_equal(byte, 0x25);
	assert_int_equal(shake.reactor.timers, 0);
}

static void test_greeting_comes_first(void **state)
{
	(void)state;
	loop_turn(&shake.reactor);
	shake_expect(true, "");
	shake_send("f3");
	loop_turns(&shake.reactor, 2);
	shake_send("list");
	loop_turns(&shake.reactor, 2);
	shake_send("abort");
	loop_until(&shake.reactor, &shake.finished);
	assert_false(shake.go);
}

static void test_lookup_answered_later(void **state)
{
	(void)state;
	shake.later = true;
	shake_send("f3 go:gone list go:disk");
	loop_turns(&shake.reactor, 5);
	assert_int_equal(shake.lookups, 1); /* nothing goes on meanwhile */
	assert_false(shake.finished);
	shake_answer();
	loop_turns(&shake.reactor, 5);
	assert_int_equal(shake.lookups, 2);
	shake_answer();
	assert_true(shake.finished && shake.go);
	shake_expect(true,
		"go:POLICY list:SERVER(disk|a disk \xe2\x80\x94 with words) list:SERVER(ro) "
		"list:SERVER(gone|of a lost disk) list:ACK " GO);
}

static void test_client_leaves_during_a_lookup(void **state)
{
	(void)state;
	shake.later = true;
	shake_send("f3 go:disk");
	loop_turns(&shake.reactor, 3);
	assert_int_equal(shake.lookups, 1);
	fd_close(&shake.client);
	loop_until(&shake.reactor, &shake.finished);
	assert_false(shake.go);
}

static void test_client_leaves(void **state)
{
	static const char *const after[] = {"", "f3", "f3 list", "f3 hex:4948415645", "f3 abort",
		"f3 opt77+100 hex:49484156454f50540000004d00001000ffff", "f3 name:nothing", "f4"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(after); i++) {
		if (i > 0)
			shake_begin(NULL);
		shake_send(after[i]);
		if (i % 2)
			loop_turns(&shake.reactor, 2);
		fd_close(&shake.client);
		loop_until(&shake.reactor, &shake.finished);
		assert_false(shake.go);
		assert_int_equal(shake.reactor.timers, 0);
		if (i + 1 < ARRAY_LEN(after))
			shake_end();
	}
}

/* Deadlines. */

static void test_silent_client(void **state)
{
	(void)state;
	shake_at(HANDSHAKE_OPTION_MS - 1);
	assert_false(shake.finished);
	shake_at(HANDSHAKE_OPTION_MS);
	assert_true(shake.finished && !shake.go);
}

/* As the wrapper's configuration may want it. */
static void test_other_deadlines(void **state)
{
	(void)state;
	handshake_set_timeout(&shake.h, 1000);
	shake_at(999);
	assert_false(shake.finished);
	shake_send("f3");
	shake_at(1000);
	assert_true(shake.finished && !shake.go);
}

static void test_longer_deadlines(void **state)
{
	(void)state;
	handshake_set_timeout(&shake.h, 2 * HANDSHAKE_OPTION_MS);
	shake_at(2 * HANDSHAKE_OPTION_MS - 1);
	assert_false(shake.finished);
	shake_at(2 * HANDSHAKE_OPTION_MS);
	assert_true(shake.finished && !shake.go);
}

/* Bytes alone give no more time, a complete option header does. */
static void test_dribbling_client(void **state)
{
	(void)state;
	shake_send("f3");
	shake_at(9000);
	shake_send("list");
	shake_at(9001);
	assert_false(shake.finished);
	shake_at(19000);
	assert_false(shake.finished);
	shake_send("hex:49484156454f5054000000"); /* not the whole header */
	shake_at(19000);
	shake_at(19001);
	assert_true(shake.finished && !shake.go);
}

static void test_total_time(void **state)
{
	uint64_t ms;

	(void)state;
	shake_send("f3");
	for (ms = 0; !shake.finished && ms < 10 * HANDSHAKE_TOTAL_MS; ms += 7000) {
		if (send(shake.client, "IHAVEOPT\0\0\0\10\0\0\0\0", 16, MSG_NOSIGNAL) < 0)
			break;
		shake_at(ms);
	}
	assert_true(shake.finished && !shake.go);
	assert_true(ms > HANDSHAKE_TOTAL_MS && ms <= HANDSHAKE_TOTAL_MS + 2 * 7000);
}

/* The deadline runs while the server looks, too. */
static void test_slow_lookup(void **state)
{
	(void)state;
	shake.later = true;
	shake_send("f3 go:disk");
	shake_at(1);
	shake_at(1);
	assert_int_equal(shake.lookups, 1);
	shake_at(HANDSHAKE_OPTION_MS + 1);
	assert_true(shake.finished && !shake.go);
}

/* All at once. */

/* 5000 INFO requests pipelined, each answered inside the callback. */
static void test_many_infos(void **state)
{
	static const char one[] = "info:EXPORT(1099511628288,d6d)";
	size_t sent = 0, got = 0;
	struct buf in, out, text;

	(void)state;
	buf_init(&in, SIZE_MAX / 4);
	buf_init(&out, SIZE_MAX / 4);
	buf_init(&text, SIZE_MAX / 4);
	script_bytes("f3", &in);
	for (int i = 0; i < INFOS; i++)
		script_bytes("info:disk", &in);
	script_bytes("abort", &in);
	while (!shake.finished) {
		ssize_t n = send(
			shake.client, buf_bytes(&in) + sent, buf_len(&in) - sent, MSG_NOSIGNAL);

		sent += (size_t)MAX_OF(n, (ssize_t)0);
		loop_turn(&shake.reactor);
		while ((n = recv(shake.client, buf_reserve(&out, 65536), 65536, 0)) > 0)
			buf_added(&out, (size_t)n);
	}
	assert_int_equal(shake.lookups, INFOS);
	buf_take(&out, NBD_GREETING_BYTES);
	assert_true(render_replies(buf_bytes(&out), buf_len(&out), &text));
	for (const char *p = (const char *)buf_bytes(&text); (p = strstr(p, one)); p++)
		got++;
	assert_int_equal(got, INFOS);
	assert_non_null(strstr((const char *)buf_bytes(&text) + buf_len(&text) - 12, "abort:ACK"));
	buf_done(&in);
	buf_done(&out);
	buf_done(&text);
}

/* Who reads nothing costs one reply, and nothing more is received. */
static void test_client_reads_nothing(void **state)
{
	struct buf in;
	size_t sent = 0;
	ssize_t n;

	(void)state;
	shake.world.many = 300;
	buf_init(&in, SIZE_MAX / 4);
	script_bytes("f3", &in);
	for (int i = 0; i < 9000; i++)
		script_bytes("list", &in);
	for (int i = 0; i < 3000; i++) {
		n = send(shake.client, buf_bytes(&in) + sent, buf_len(&in) - sent, MSG_NOSIGNAL);
		sent += (size_t)MAX_OF(n, (ssize_t)0);
		loop_turn(&shake.reactor);
	}
	assert_false(shake.finished);
	assert_true(shake.h.neg.options < 9000);
	assert_true(buf_len(&shake.h.out) > 0 && buf_len(&shake.h.out) < 16 * 1024);
	assert_int_equal(shake.h.watch.events, EPOLLOUT);
	shake_at(HANDSHAKE_OPTION_MS);
	assert_true(shake.finished && !shake.go);
	buf_done(&in);
}

/* A client faster than we are cannot keep others from their turn, nor outrun its deadline. */
static void test_client_never_stops(void **state)
{
	static uint8_t zeros[1024];
	int room = 64 * 1024 * 1024;
	unsigned turns = 0;
	size_t sent = 0;

	(void)state;
	setsockopt(shake.client, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	shake_send("f3");
	while (sent < 16 * INFOS && send(shake.client, "IHAVEOPT\0\0\0\10\0\0\0\0", 16, 0) > 0)
		sent += 16;
	assert_true(sent > 16 * 200); /* or the test proves nothing */
	while (!shake.finished && shake.h.neg.options < sent / 16) {
		loop_turn(&shake.reactor);
		while (recv(shake.client, zeros, sizeof(zeros), 0) > 0)
			;
		turns++;
	}
	assert_true(turns > sent / 16 / 200);
	shake_at(HANDSHAKE_OPTION_MS);
	assert_true(shake.finished && !shake.go);
}

static void test_oldstyle(void **state)
{
	uint8_t bytes[NBD_OLDSTYLE_BYTES + 1];

	(void)state;
	shake_end();
	shake_begin(session_facts(SESSION_ID_RO));
	loop_until(&shake.reactor, &shake.finished);
	assert_true(shake.go);
	assert_int_equal(recv(shake.client, bytes, sizeof(bytes), 0), NBD_OLDSTYLE_BYTES);
	assert_memory_equal(bytes, "NBDMAGIC\0\0\x42\x02\x81\x86\x12\x53", 16);
	assert_int_equal(get_u64(bytes + 16), 512);
}

/* The descriptor is taken also on failure: here one that epoll refuses. */
static void test_init_fails(void **state)
{
	struct handshake h;
	struct sock_peer peer = {0};
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(
		handshake_init(&h, &shake.reactor, fd, &peer, &shake_ops, &shake.env, NULL),
		-EPERM);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(shake.reactor.timers, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, shake_set_up, shake_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_go),
		TEST(test_greeting_comes_first),
		TEST(test_lookup_answered_later),
		TEST(test_client_leaves_during_a_lookup),
		TEST(test_client_leaves),
		TEST(test_silent_client),
		TEST(test_other_deadlines),
		TEST(test_longer_deadlines),
		TEST(test_dribbling_client),
		TEST(test_total_time),
		TEST(test_slow_lookup),
		TEST(test_many_infos),
		TEST(test_client_reads_nothing),
		TEST(test_client_never_stops),
		TEST(test_oldstyle),
		TEST(test_init_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
