/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control protocol from the server's side, spoken to by a raw socket: pipelining, descriptors,
 * what is no request, how long a line may be, peers that leave or do not read.
 */
#include "ctl.h"
#include "fds.h"
#include "loop.h"
#include "sock.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { PIPELINED = 5000, ANSWER_MAX = 1024 * 1024 };

static struct {
	struct temp temp;
	struct reactor reactor;
	struct ctl_server server;
	unsigned requests, gone;
	char path[TEMP_PATH_MAX];
	char text[ANSWER_MAX];
} t;

/* "echo" answers with the argument, "fd" tells if one came and sends it back, "quit" closes. */
static void request(struct ctl_server *s, struct ctl_conn *c, json_t *msg, int fd)
{
	const char *cmd = ctl_command(c, msg);
	json_t *answer = ctl_ok();

	assert_ptr_equal(s, &t.server);
	t.requests++;
	if (!cmd) {
		json_decref(answer);
		fd_close(&fd);
		return;
	}
	if (strcmp(cmd, "fd") == 0)
		json_object_set_new(answer, "came", json_boolean(fd >= 0));
	json_object_set(answer, "n", json_object_get(msg, "n"));
	ctl_send(c, answer, fd);
}

static void gone(struct ctl_server *s, struct ctl_conn *c)
{
	assert_ptr_equal(s, &t.server);
	assert_int_equal(c->fd, -1);
	t.gone++;
}

static const struct ctl_server_ops ops = {request, gone};

static int set_up(void **state)
{
	int fd;

	(void)state;
	memset(&t, 0, sizeof(t));
	temp_init(&t.temp);
	strcpy(t.path, temp_path(&t.temp, "ctl"));
	assert_int_equal(reactor_init(&t.reactor), 0);
	fd = sock_listen_unix(t.path, 0600, NULL);
	return ctl_server_init(&t.server, &t.reactor, fd, &ops);
}

static int tear_down(void **state)
{
	(void)state;
	ctl_server_done(&t.server);
	ctl_server_done(&t.server);
	assert_int_equal(t.server.count, 0);
	reactor_done(&t.reactor);
	temp_done(&t.temp);
	return 0;
}

static int client(void)
{
	int fd = sock_connect_unix(t.path, NULL);

	assert_true(fd >= 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

/* Everything the server says until it closes or falls silent; in t.text. */
static void receive(int fd)
{
	size_t used = 0;
	ssize_t n;

	for (int quiet = 0; quiet < 10;) {
		loop_turn(&t.reactor);
		n = recv(fd, t.text + used, sizeof(t.text) - used - 1, 0);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			break;
		quiet = n < 0 ? quiet + 1 : 0;
		used += (size_t)MAX_OF(n, (ssize_t)0);
	}
	t.text[used] = 0;
}

static void check(int fd, const char *in, const char *want)
{
	assert_int_equal(send(fd, in, strlen(in), MSG_NOSIGNAL), strlen(in));
	receive(fd);
	assert_string_equal(t.text, want);
}

static bool is_closed(int fd)
{
	char byte;

	loop_turns(&t.reactor, 2);
	return recv(fd, &byte, 1, 0) == 0 || errno != EAGAIN;
}

static void test_answers(void **state)
{
	int fd = client();

	(void)state;
	check(fd, "{\"v\":1,\"cmd\":\"echo\",\"n\":5}\n", "{\"ok\":true,\"n\":5,\"v\":1}\n");
	check(fd, "{\"cmd\":\"echo\",\"n\":\"gr\xc3\xbc\xc3\x9f\",\"v\":1}\r\n",
		"{\"ok\":true,\"n\":\"gr\xc3\xbc\xc3\x9f\",\"v\":1}\n");
	close(fd);
	while (t.gone == 0)
		loop_turn(&t.reactor);
	assert_int_equal(t.server.count, 0);
}

static void test_in_pieces(void **state)
{
	static const char line[] = "{\"v\":1,\"cmd\":\"echo\",\"n\":5}\n";
	int fd = client();

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(line); i++) {
		assert_int_equal(t.requests, 0);
		assert_int_equal(send(fd, line + i, 1, 0), 1);
		loop_turns(&t.reactor, 2);
	}
	assert_int_equal(t.requests, 1);
	close(fd);
}

static void test_pipelined(void **state)
{
	int fd = client();
	size_t sent = 0, len = 0, room = PIPELINED * 48;
	CLEANUP_FREE char *in = malloc(room);
	char *p = t.text;

	(void)state;
	for (int i = 0; i < PIPELINED; i++)
		len += (size_t)sprintf(in + len, "{\"v\":1,\"cmd\":\"echo\",\"n\":%d}\n", i);
	while (sent < len || t.requests < PIPELINED) { /* reads nothing before all is sent */
		ssize_t n = send(fd, in + sent, len - sent, 0);

		sent += (size_t)MAX_OF(n, (ssize_t)0);
		loop_turn(&t.reactor);
	}
	receive(fd);
	for (int i = 0; i < PIPELINED; i++) {
		char want[64];
		int n = sprintf(want, "{\"ok\":true,\"n\":%d,\"v\":1}\n", i);

		assert_memory_equal(p, want, (size_t)n);
		p += n;
	}
	assert_int_equal(*p, 0);
	close(fd);
}

static void test_what_is_no_request(void **state)
{
	static const struct {
		const char *in, *error;
		bool closes;
	} rows[] = {
		{"{\"v\":2,\"cmd\":\"echo\"}\n", "this daemon speaks version 1", false},
		{"{\"cmd\":\"echo\"}\n", "this daemon speaks version 1", false},
		{"{\"v\":\"1\",\"cmd\":\"echo\"}\n", "this daemon speaks version 1", false},
		{"{\"v\":1}\n", "needs a \\\"cmd\\\"", false},
		{"{\"v\":1,\"cmd\":7}\n", "needs a \\\"cmd\\\"", false},
		{"nonsense\n", "must be one JSON object", true},
		{"\n", "must be one JSON object", true},
		{"[1]\n", "must be one JSON object", true},
		{"{\"v\":1,\"cmd\":\"a\",\"cmd\":\"b\"}\n", "must be one JSON object", true},
		{"{\"v\":1,\"cmd\":\"a\xff\"}\n", "must be one JSON object", true},
		{"{} {}\n", "must be one JSON object", true},
		{"{}}\n{\"v\":1,\"cmd\":\"echo\"}\n", "must be one JSON object", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int fd = client();

		assert_true(send(fd, rows[i].in, strlen(rows[i].in), 0) > 0);
		receive(fd);
		assert_memory_equal(t.text, "{\"ok\":false,\"error\":\"control protocol: ", 39);
		assert_non_null(strstr(t.text, rows[i].error));
		assert_ptr_equal(strchr(t.text, '\n'), t.text + strlen(t.text) - 1); /* one line */
		assert_int_equal(is_closed(fd), rows[i].closes);
		if (!rows[i].closes)
			check(fd, "{\"v\":1,\"cmd\":\"x\"}\n", "{\"ok\":true,\"v\":1}\n");
		close(fd);
		loop_turns(&t.reactor, 2);
	}
	assert_int_equal(t.server.count, 0);
}

static void test_length_of_a_line(void **state)
{
	static char line[CTL_LINE_MAX + 2];
	int fd = client();

	(void)state;
	memset(line, ' ', sizeof(line));
	memcpy(line, "{\"v\":1,\"cmd\":\"echo\"}", 20);
	line[CTL_LINE_MAX - 1] = '\n'; /* the longest one, with its end */
	assert_int_equal(send(fd, line, CTL_LINE_MAX, 0), CTL_LINE_MAX);
	receive(fd);
	assert_string_equal(t.text, "{\"ok\":true,\"v\":1}\n");
	line[CTL_LINE_MAX - 1] = ' ';
	line[CTL_LINE_MAX] = '\n';
	assert_int_equal(send(fd, line, CTL_LINE_MAX + 1, 0), CTL_LINE_MAX + 1);
	receive(fd);
	assert_non_null(strstr(t.text, "line too long"));
	assert_true(is_closed(fd));
	assert_int_equal(t.requests, 1);
	close(fd);
}

static int send_with_fd(int fd, const char *text, int passed)
{
	return (int)sock_send_fd(fd, text, strlen(text), passed);
}

static void test_descriptors(void **state)
{
	int fd = client(), back = -1, null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char bytes[128] = "";

	(void)state;
	send_with_fd(fd, "{\"v\":1,\"cmd\":\"fd\",\"fd\":true}\n", null);
	loop_turns(&t.reactor, 3);
	assert_true(sock_recv_fd(fd, bytes, sizeof(bytes) - 1, &back) > 0);
	assert_string_equal(bytes, "{\"ok\":true,\"came\":true,\"v\":1}\n");
	assert_true(back >= 0);
	close(back);
	/* promised, but not sent */
	check(fd, "{\"v\":1,\"cmd\":\"fd\",\"fd\":true}\n",
		"{\"ok\":true,\"came\":false,\"v\":1}\n");
	/* not mentioned: left alone */
	check(fd, "{\"v\":1,\"cmd\":\"fd\"}\n", "{\"ok\":true,\"came\":false,\"v\":1}\n");
	close(null);
	close(fd);
}

/* Unclaimed descriptors are bounded, and closed with the connection. */
static void test_descriptors_are_bounded(void **state)
{
	int fd = client(), null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	unsigned before;

	(void)state;
	loop_turns(&t.reactor, 2);
	before = fds_open();
	for (int i = 0; i < CTL_FDS_MAX + 20; i++) {
		assert_int_equal(send_with_fd(fd, " ", null), 1);
		loop_turn(&t.reactor);
	}
	assert_int_equal(fds_open(), before + CTL_FDS_MAX);
	close(fd);
	while (t.server.count)
		loop_turn(&t.reactor);
	assert_int_equal(fds_open(), before - 2);
	close(null);
}

static void test_too_many_clients(void **state)
{
	int fds[CTL_CLIENTS_MAX + 3];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = client();
	for (int i = 0; i < CTL_CLIENTS_MAX; i++) {
		assert_int_equal(send(fds[i], "{\"v\":1,\"cmd\":\"x\"}\n", 18, 0), 18);
		loop_turns(&t.reactor, 2);
	}
	assert_int_equal(t.requests, CTL_CLIENTS_MAX);
	assert_int_equal(t.server.count, CTL_CLIENTS_MAX);
	for (size_t i = CTL_CLIENTS_MAX; i < ARRAY_LEN(fds); i++) {
		receive(fds[i]);
		assert_non_null(strstr(t.text, "too many control connections"));
		assert_true(is_closed(fds[i]));
	}
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	while (t.server.count)
		loop_turn(&t.reactor);
	assert_int_equal(t.gone, ARRAY_LEN(fds));
}

static void test_broadcast(void **state)
{
	json_t *event = json_pack("{s:s}", "event", "idle");
	int a = client(), b = client();

	(void)state;
	loop_turns(&t.reactor, 2);
	ctl_server_broadcast(&t.server, event);
	json_decref(event);
	receive(a);
	assert_string_equal(t.text, "{\"event\":\"idle\",\"v\":1}\n");
	receive(b);
	assert_string_equal(t.text, "{\"event\":\"idle\",\"v\":1}\n");
	close(a);
	close(b);
}

/* A peer that vanishes with answers waiting costs nothing but itself. */
static void test_peer_leaves_unread(void **state)
{
	static const char line[] = "{\"v\":1,\"cmd\":\"echo\",\"n\":[1,2,3,4,5,6,7,8]}\n";
	int fd = client();

	(void)state;
	for (int i = 0; i < 2000; i++) {
		if (send(fd, line, sizeof(line) - 1, MSG_NOSIGNAL) < 0)
			loop_turn(&t.reactor);
	}
	loop_turns(&t.reactor, 10);
	assert_true(t.requests > 0);
	close(fd);
	while (t.server.count)
		loop_turn(&t.reactor);
	assert_int_equal(t.gone, 1);
}

enum { LONG = 40000, LONG_ONES = 100 };

/* LONG_ONES requests with long answers, none of which is read. */
static int ask_much(void)
{
	static char line[LONG + 64];
	int fd = client(),
	    len = sprintf(line, "{\"v\":1,\"cmd\":\"echo\",\"n\":\"%0*d\"}\n", LONG, 7);

	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (int i = 0, sent = 0, idle = 0; i < LONG_ONES && idle < 100; loop_turn(&t.reactor)) {
		ssize_t n = send(fd, line + sent, (size_t)(len - sent), MSG_NOSIGNAL);

		idle = n < 0 ? idle + 1 : 0;
		sent += (int)MAX_OF(n, (ssize_t)0);
		i += sent == len;
		sent %= len;
	}
	return fd;
}

/* Requests are taken when answers are read, so that those that wait need little memory. */
static void test_peer_that_does_not_read(void **state)
{
	int fd = ask_much();
	unsigned taken = t.requests;

	(void)state;
	assert_in_range(taken, CTL_HOLD / LONG, CTL_HOLD / LONG + 10);
	for (int quiet = 0; quiet < 10;) {
		loop_turn(&t.reactor);
		quiet = recv(fd, t.text, sizeof(t.text), 0) > 0 ? 0 : quiet + 1;
	}
	assert_true(t.requests > taken + 3);
	assert_true(t.requests < LONG_ONES);
	close(fd);
	while (t.server.count)
		loop_turn(&t.reactor);
}

/* What it has sent is carried out all the same. */
static void test_peer_that_does_not_read_leaves(void **state)
{
	int fd = ask_much();
	unsigned taken = t.requests;

	(void)state;
	close(fd);
	while (t.server.count)
		loop_turn(&t.reactor);
	assert_in_range(t.requests, taken + 3, LONG_ONES - 1);
	assert_int_equal(t.gone, 1);
}

/* Answers wait, in order, until the gate has reached what it was when they were given. */
static void test_gate(void **state)
{
	static const char last[] = "{\"ok\":true,\"n\":3,\"v\":1}\n{\"ok\":false,";
	struct ctl_gate gate = {.wanted = 1, .settled = 1};
	int before = client(), fd;

	(void)state;
	loop_turns(&t.reactor, 2);
	t.server.gate = &gate;
	fd = client();
	check(fd, "{\"v\":1,\"cmd\":\"echo\",\"n\":1}\n", "{\"ok\":true,\"n\":1,\"v\":1}\n");
	gate.wanted = 2;
	check(fd, "{\"v\":1,\"cmd\":\"echo\",\"n\":2}\n", "");
	gate.wanted = 3;
	check(fd, "{\"v\":1,\"cmd\":\"echo\",\"n\":3}\nnonsense\n", "");
	check(before, "{\"v\":1,\"cmd\":\"echo\",\"n\":4}\n", "{\"ok\":true,\"n\":4,\"v\":1}\n");
	gate.settled = 2;
	ctl_server_settled(&t.server);
	receive(fd);
	assert_string_equal(t.text, "{\"ok\":true,\"n\":2,\"v\":1}\n");
	assert_false(is_closed(fd));
	gate.settled = 3;
	ctl_server_settled(&t.server);
	receive(fd);
	assert_memory_equal(t.text, last, sizeof(last) - 1);
	assert_true(is_closed(fd));
	close(fd);
	close(before);
}

/* Nobody waits for an answer any more. */
static void test_gate_and_peer_leaves(void **state)
{
	static const char line[] = "{\"v\":1,\"cmd\":\"echo\",\"n\":5}\n";
	struct ctl_gate gate = {.wanted = 1};
	int fd;

	(void)state;
	t.server.gate = &gate;
	fd = client();
	assert_int_equal(send(fd, line, sizeof(line) - 1, 0), sizeof(line) - 1);
	loop_turns(&t.reactor, 3);
	assert_int_equal(t.requests, 1);
	close(fd);
	while (t.server.count)
		loop_turn(&t.reactor);
	assert_int_equal(t.gone, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_answers),
		TEST(test_in_pieces),
		TEST(test_pipelined),
		TEST(test_what_is_no_request),
		TEST(test_length_of_a_line),
		TEST(test_descriptors),
		TEST(test_descriptors_are_bounded),
		TEST(test_too_many_clients),
		TEST(test_broadcast),
		TEST(test_peer_leaves_unread),
		TEST(test_peer_that_does_not_read),
		TEST(test_peer_that_does_not_read_leaves),
		TEST(test_gate),
		TEST(test_gate_and_peer_leaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
