/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The handshake driver in a test's hands; see shake.h. */
#include "shake.h"

#include "check.h"
#include "clock.h"
#include "log.h"
#include "loop.h"
#include "render.h"
#include "script.h"
#include "util.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

struct shake shake;

static bool inside; /* the lookup callback */

void shake_answer(void)
{
	if (shake.h.neg.lookup_id == SESSION_ID_GONE)
		handshake_refuse(&shake.h, NBD_REP_ERR_POLICY, "the disk is lost");
	else
		handshake_answer(&shake.h, session_facts(shake.h.neg.lookup_id));
}

static void lookup(struct handshake *h)
{
	CHECK(h == &shake.h && !shake.finished);
	CHECK(!inside); /* no recursion */
	inside = true;
	shake.lookups++;
	if (!shake.later)
		shake_answer();
	inside = false;
}

static void finished(struct handshake *h, bool go)
{
	CHECK(h == &shake.h && !shake.finished && !inside);
	shake.finished = true;
	shake.go = go;
	if (go) {
		shake.fd = h->fd;
		h->fd = -1;
	}
	handshake_done(h);
}

const struct handshake_ops shake_ops = {lookup, finished};

void shake_begin(const struct export_facts *oldstyle)
{
	struct sock_peer peer;
	int fds[2];

	memset(&shake, 0, sizeof(shake));
	clock_set_for_test(SHAKE_START_MS);
	log_level(LOG_LEVEL_ERROR);
	CHECK(reactor_init(&shake.reactor) == 0);
	shake.env = session_env(&shake.world);
	shake.fd = -1;
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	shake.client = fds[1];
	sock_peer(fds[0], &peer);
	CHECK(handshake_init(&shake.h, &shake.reactor, fds[0], &peer, &shake_ops, &shake.env,
		      oldstyle) == 0);
}

void shake_end(void)
{
	if (!shake.finished)
		handshake_done(&shake.h);
	fd_close(&shake.fd);
	fd_close(&shake.client);
	reactor_done(&shake.reactor);
	clock_set_for_test(UINT64_MAX);
}

int shake_set_up(void **state)
{
	(void)state;
	shake_begin(NULL);
	return 0;
}

int shake_tear_down(void **state)
{
	(void)state;
	shake_end();
	return 0;
}

void shake_send(const char *script)
{
	struct buf b;

	buf_init(&b, SIZE_MAX / 4);
	script_bytes(script, &b);
	CHECK(send(shake.client, buf_bytes(&b), buf_len(&b), MSG_NOSIGNAL) == (ssize_t)buf_len(&b));
	buf_done(&b);
}

void shake_expect(bool greeting, const char *want)
{
	uint8_t bytes[16384];
	ssize_t n = recv(shake.client, bytes, sizeof(bytes), 0);
	size_t skip = greeting ? NBD_GREETING_BYTES : 0;

	CHECK(n >= (ssize_t)skip);
	render_expect(bytes + skip, (size_t)n - skip, want);
}

void shake_at(uint64_t ms)
{
	clock_set_for_test(SHAKE_START_MS + ms);
	loop_turn(&shake.reactor);
}
