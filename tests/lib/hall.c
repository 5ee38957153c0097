/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lobby in a test's hands; see hall.h. */
#include "hall.h"

#include "check.h"
#include "clock.h"
#include "fds.h"
#include "log.h"
#include "loop.h"
#include "render.h"
#include "script.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { PATIENCE_S = 5, APART_MS = 60 * 1000 };

struct hall hall;

void hall_answer(struct lobby_client *c)
{
	CHECK(c);
	if (c->handshake.neg.lookup_id == SESSION_ID_GONE)
		handshake_refuse(&c->handshake, NBD_REP_ERR_POLICY, "the disk is lost");
	else
		handshake_answer(&c->handshake, session_facts(c->handshake.neg.lookup_id));
}

static void lookup(struct lobby *l, struct lobby_client *c)
{
	CHECK(l == &hall.lobby && lobby_find(l, c->id) == c);
	hall.lookups++;
	hall.last_lookup = c->id;
	if (!hall.later)
		hall_answer(c);
}

static void enter(struct lobby *l, struct lobby_client *c)
{
	CHECK(l == &hall.lobby && lobby_find(l, c->id) == c);
	hall.entered++;
	if (hall.leave)
		return;
	fd_close(&hall.fd);
	hall.fd = c->handshake.fd;
	c->handshake.fd = -1;
}

static void left(struct lobby *l, struct lobby_client *c)
{
	CHECK(l == &hall.lobby && lobby_find(l, c->id) == c);
	hall.left++;
	hall.last_left = c->id;
}

const struct lobby_ops hall_ops = {.lookup = lookup, .enter = enter, .left = left};

static void take_line(enum log_level level, const struct log_subject *about, const char *text)
{
	(void)level;
	(void)about;
	(void)text;
	hall.lines++;
}

/* The last test's lines must not count against the limit for peers, nor be told of in this one. */
static void begin_log(void)
{
	log_level(LOG_LEVEL_WARN);
	log_to_function(take_line);
	log_peer(LOG_LEVEL_WARN, "a test begins");
	hall.lines = 0;
}

int hall_set_up(void **state)
{
	uint64_t start = hall.start + APART_MS;

	(void)state;
	memset(&hall, 0, sizeof(hall));
	hall.fds_before = fds_open();
	hall.start = start;
	hall.fd = -1;
	temp_init(&hall.temp);
	clock_set_for_test(start);
	begin_log();
	CHECK(reactor_init(&hall.reactor) == 0);
	CHECK(lobby_init(&hall.lobby, &hall.reactor, &hall_ops, HALL_MAX) == 0);
	hall.lobby.env = session_env(&hall.world);
	return 0;
}

/* No CHECK: a test that failed in its middle has left things, and is to be told of. */
int hall_tear_down(void **state)
{
	size_t timers;

	(void)state;
	lobby_done(&hall.lobby);
	timers = hall.reactor.timers;
	fd_close(&hall.fd);
	reactor_done(&hall.reactor);
	temp_done(&hall.temp);
	clock_set_for_test(UINT64_MAX);
	return timers > 0 || fds_open() != hall.fds_before ? -1 : 0;
}

static time_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

void hall_until(const unsigned *counter, unsigned want)
{
	time_t end = now_s() + PATIENCE_S;

	while (*(const volatile unsigned *)counter != want && now_s() <= end)
		loop_turn(&hall.reactor);
	CHECK(*(const volatile unsigned *)counter == want);
}

void hall_until_count(size_t want)
{
	time_t end = now_s() + PATIENCE_S;

	while (hall.lobby.count != want && now_s() <= end)
		loop_turn(&hall.reactor);
	CHECK(hall.lobby.count == want);
}

int hall_admit(void)
{
	int fds[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	CHECK(lobby_admit(&hall.lobby, fds[0]) == 0);
	return fds[1];
}

void hall_listen(void)
{
	int fd = sock_listen_unix(temp_path(&hall.temp, "sock"), 0600, NULL);

	CHECK(fd >= 0 && lobby_listen(&hall.lobby, fd) == 0);
}

int hall_connect(void)
{
	int fd = sock_connect_unix(temp_path(&hall.temp, "sock"), NULL);

	CHECK(fd >= 0);
	return fd;
}

void hall_send(int fd, const char *script)
{
	struct buf b;

	buf_init(&b, SIZE_MAX / 4);
	script_bytes(script, &b);
	CHECK(send(fd, buf_bytes(&b), buf_len(&b), MSG_NOSIGNAL) == (ssize_t)buf_len(&b));
	buf_done(&b);
}

void hall_expect(int fd, const char *want)
{
	uint8_t bytes[4096];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	CHECK(n >= NBD_GREETING_BYTES);
	render_expect(bytes + NBD_GREETING_BYTES, (size_t)n - NBD_GREETING_BYTES, want);
}

/* What is behind everything that was sent: 0 = the end, else -errno. */
static int end_of(int fd)
{
	uint8_t bytes[4096];
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		;
	return n == 0 ? 0 : -errno;
}

void hall_expect_closed(int fd)
{
	int end = end_of(fd);

	CHECK(end == 0 || end == -ECONNRESET);
	close(fd);
}

void hall_expect_open(int fd)
{
	CHECK(end_of(fd) == -EAGAIN);
}
