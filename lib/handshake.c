/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Drives one handshake. At any time it waits for exactly one thing: the socket to take replies,
 * bytes from the client, or an answer to a lookup; the deadline runs in all three.
 */
#include "handshake.h"

#include "log.h"
#include "util.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { OUT_MAX = 256 * 1024 * 1024, RECV_MAX = 16 * 1024, TURN_RECEIVES = 64 };

static void finish(struct handshake *h, bool go)
{
	reactor_remove(h->reactor, &h->watch);
	reactor_timer_cancel(h->reactor, &h->deadline);
	h->ops->finished(h, go);
}

static void end_early(struct handshake *h, const char *reason)
{
	const struct log_subject about = {.peer = h->peer.name};

	if (reason)
		log_client(LOG_LEVEL_INFO, &about, "handshake ended: %s", reason);
	finish(h, false);
}

static void late(struct reactor_timer *t)
{
	struct handshake *h = container_of(t, struct handshake, deadline);

	end_early(h, "deadline passed");
}

static void restart_deadline(struct handshake *h)
{
	uint64_t spent = h->reactor->now - h->began;
	uint64_t total = HANDSHAKE_STEPS * h->step_ms, left = spent < total ? total - spent : 0;

	reactor_timer_set(h->reactor, &h->deadline, MIN_OF(left, h->step_ms));
}

/* 1 = all sent, 0 = the socket is full, -1 = gone. */
static int send_out(struct handshake *h)
{
	while (buf_len(&h->out) > 0) {
		ssize_t n = send(
			h->fd, buf_bytes(&h->out), buf_len(&h->out), MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		buf_take(&h->out, (size_t)n);
	}
	return 1;
}

/* 1 = took some, 0 = nothing there, -1 = gone. */
static int receive(struct handshake *h)
{
	uint8_t bytes[RECV_MAX];
	size_t want = MIN_OF(neg_want(&h->neg), sizeof(bytes));
	unsigned options = h->neg.options;
	ssize_t n = recv(h->fd, bytes, want, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if (n == 0)
		return -1;
	neg_feed(&h->neg, h->env, bytes, (size_t)n, &h->out);
	if (h->neg.options != options)
		restart_deadline(h);
	return 1;
}

enum step { STEP_RECEIVE, STEP_SEND, STEP_STOP };

/* The callee may answer at once (then on we go, without recursion) or later. */
static enum step look_up(struct handshake *h)
{
	reactor_change(h->reactor, &h->watch, 0);
	h->looking = h->calling = true;
	h->ops->lookup(h);
	h->calling = false;
	return h->looking ? STEP_STOP : STEP_SEND;
}

/* After replies are out: what the verdict asks for. STEP_STOP: H may be gone. */
static enum step act(struct handshake *h)
{
	switch (h->neg.verdict) {
	case NEG_MORE:
		return STEP_RECEIVE;
	case NEG_LOOKUP:
		return look_up(h);
	case NEG_GO:
		finish(h, true);
		return STEP_STOP;
	case NEG_CLOSE:
		end_early(h, h->neg.reason);
		return STEP_STOP;
	}
	return STEP_STOP;
}

/* Receives a bounded number of times, so that a fast client leaves others their turn. */
static void go_on(struct handshake *h)
{
	for (int receives = 0; receives < TURN_RECEIVES;) {
		enum step step;
		int r = send_out(h);

		if (r < 0) {
			end_early(h, NULL);
			return;
		}
		if (r == 0) {
			reactor_change(h->reactor, &h->watch, EPOLLOUT);
			return;
		}
		step = act(h);
		if (step == STEP_STOP)
			return;
		if (step == STEP_SEND)
			continue;
		r = receive(h);
		receives++;
		if (r < 0) {
			end_early(h, NULL);
			return;
		}
		if (r == 0) {
			reactor_change(h->reactor, &h->watch, EPOLLIN);
			return;
		}
	}
	reactor_change(h->reactor, &h->watch, EPOLLOUT); /* sends first, next turn */
}

static void ready(struct reactor_watch *w, uint32_t events)
{
	struct handshake *h = container_of(w, struct handshake, watch);

	if ((events & (EPOLLERR | EPOLLHUP)) && !(events & (EPOLLIN | EPOLLOUT)))
		end_early(h, NULL);
	else if (!h->looking)
		go_on(h);
}

static void start(struct handshake *h, const struct export_facts *oldstyle)
{
	if (!oldstyle) {
		neg_start(&h->neg, &h->out);
		return;
	}
	neg_oldstyle(oldstyle, &h->out);
	h->neg.told = oldstyle->size;
	h->neg.verdict = NEG_GO;
}

int handshake_init(struct handshake *h, struct reactor *r, int fd, const struct sock_peer *peer,
	const struct handshake_ops *ops, const struct neg_env *env,
	const struct export_facts *oldstyle)
{
	int ret;

	memset(h, 0, sizeof(*h));
	h->reactor = r;
	h->ops = ops;
	h->env = env;
	h->fd = fd;
	h->began = r->now;
	h->step_ms = HANDSHAKE_OPTION_MS;
	h->deadline.fn = late;
	h->peer = *peer;
	neg_init(&h->neg);
	h->neg.who = &h->peer.id;
	buf_init(&h->out, OUT_MAX);
	start(h, oldstyle);
	/* The greeting fits into any socket; what goes wrong shows in the next turn. */
	ret = reactor_add(r, &h->watch, fd,
		h->neg.verdict == NEG_MORE && send_out(h) == 1 ? EPOLLIN : EPOLLOUT, ready);
	if (ret == 0)
		ret = reactor_timer_set(r, &h->deadline, HANDSHAKE_OPTION_MS);
	if (ret < 0)
		handshake_done(h);
	return ret;
}

void handshake_set_timeout(struct handshake *h, uint64_t step_ms)
{
	h->step_ms = step_ms;
	restart_deadline(h);
}

void handshake_done(struct handshake *h)
{
	reactor_remove(h->reactor, &h->watch);
	reactor_timer_cancel(h->reactor, &h->deadline);
	neg_done(&h->neg);
	buf_done(&h->out);
	fd_close(&h->fd);
}

void handshake_answer(struct handshake *h, const struct export_facts *facts)
{
	h->looking = false;
	neg_answer(&h->neg, h->env, facts, &h->out);
	if (!h->calling)
		go_on(h);
}

void handshake_refuse(struct handshake *h, uint32_t reply, const char *text)
{
	h->looking = false;
	neg_refuse(&h->neg, reply, text, &h->out);
	if (!h->calling)
		go_on(h);
}
