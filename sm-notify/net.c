/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UDP in batches. Failures of sending are told at the end of the turn, never from inside of
 * net_send(), so that callers need not expect to be called back there.
 *
 * Two kinds of errors come out of a send call: those of this datagram, and those of an earlier one
 * (ICMP), which the kernel hands to whatever call comes next. The latter are gone when the call is
 * made again, and are found, with the call they belong to, in the socket's error queue.
 */
#include "net.h"

#include "buf.h"
#include "util.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <linux/sock_diag.h>
#include <string.h>

enum {
	DRAIN_BATCHES = 64, /* of one socket, before timers and others get their turn */
	ERRORS_MAX = 256,
	SEND_TRIES = 4, /* so many old errors may be in the way */
	WAITS_MAX = 3,  /* for one datagram: 2, 4 and 8 ms */
	IMPATIENT_MS = 100,
};

/* Rate. */

uint32_t net_allowance(struct net *n)
{
	if (n->retry.slot || n->socket[NET_V4].full || n->socket[NET_V6].full)
		return 0; /* first what waits */
	if (n->reactor->now - n->slot >= NET_SLOT_MS) {
		n->slot = n->reactor->now;
		n->in_air = 0;
	}
	return n->in_air < n->window ? n->window - n->in_air : 0;
}

/* Sending. */

static void note_failure(struct net *n, const struct net_packet *p, int code)
{
	struct net_failure *f = &n->failures[n->failure_count];

	if (n->failure_count == NET_BATCH)
		return; /* as good as lost */
	*f = (struct net_failure){.to = p->to, .port = p->port, .code = code};
	if (rpc_xid(p->bytes, p->len, &f->xid))
		n->failure_count++;
}

static int send_some(struct net_socket *s, size_t from)
{
	struct mmsghdr head[NET_BATCH] = {0};
	struct iovec piece[NET_BATCH];
	union addr_sock to[NET_BATCH];

	for (size_t i = from; i < s->outs; i++) {
		struct net_packet *p = &s->out[i];
		struct msghdr *h = &head[i].msg_hdr;

		piece[i] = (struct iovec){p->bytes, p->len};
		h->msg_namelen = addr_to_sock(&p->to, p->port, &to[i]);
		h->msg_name = &to[i];
		h->msg_iov = &piece[i];
		h->msg_iovlen = 1;
	}
	return sendmmsg(s->fd, head + from, (unsigned)(s->outs - from), MSG_DONTWAIT);
}

static void set_full(struct net_socket *s, bool full)
{
	s->full = full;
	reactor_change(s->net->reactor, &s->watch, full ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/*
 * Something below is full. A queue has room again a moment later, and it would be a pity to lose
 * what is to go there; but if it is the table of neighbours, waiting helps nobody: others can be
 * reached all the same. So if the next datagram gets through, or waiting was of no use lately, this
 * one is as good as lost.
 */
static bool is_worth_waiting(struct net_socket *s, size_t *done)
{
	struct reactor *r = s->net->reactor;
	int n = *done + 1 < s->outs ? send_some(s, *done + 1) : -1;

	if (n <= 0 && r->now >= s->impatient_until) {
		if (s->waits < WAITS_MAX) {
			reactor_timer_set(r, &s->net->retry, 2ULL << s->waits++);
			return true;
		}
		s->impatient_until = r->now + IMPATIENT_MS;
	}
	s->waits = 0;
	if (n > 0)
		s->net->counts.sent += (unsigned)n;
	*done += 1 + (n > 0 ? (size_t)n : 0);
	return false;
}

/* False: the rest later. Else *DONE is where to go on: at the same one, or behind it. */
static bool after_error(struct net_socket *s, int code, unsigned tries, size_t *done)
{
	if (code == EINTR)
		return true;
	if (code == EAGAIN || code == EWOULDBLOCK) {
		set_full(s, true);
		return false;
	}
	if (code == ENOBUFS)
		return !is_worth_waiting(s, done);
	if (tries == SEND_TRIES)
		note_failure(s->net, &s->out[(*done)++], code);
	return true;
}

static void take_out(struct net_socket *s, size_t count)
{
	s->outs -= count;
	memmove(s->out, s->out + count, s->outs * sizeof(s->out[0]));
}

static void send_out(struct net_socket *s)
{
	size_t done = 0, last = SIZE_MAX;
	unsigned tries = 0;

	while (done < s->outs && !s->full) {
		int n = send_some(s, done);

		if (n > 0) {
			s->net->counts.sent += (unsigned)n;
			done += (size_t)n;
			s->waits = 0;
			continue;
		}
		tries = done == last ? tries + 1 : 1;
		last = done;
		if (!after_error(s, errno, tries, &done))
			break;
	}
	take_out(s, done);
}

static void tell_failures(struct net *n)
{
	struct net_failure told[NET_BATCH];
	size_t count = n->failure_count;

	memcpy(told, n->failures, count * sizeof(told[0]));
	n->failure_count = 0;
	for (size_t i = 0; i < count; i++)
		n->handler.failure(n->handler.arg, &told[i]);
}

static void flush(struct reactor_task *t)
{
	struct net *n = container_of(t, struct net, flush);

	send_out(&n->socket[NET_V4]);
	send_out(&n->socket[NET_V6]);
	tell_failures(n);
}

static void retry(struct reactor_timer *t)
{
	struct net *n = container_of(t, struct net, retry);

	reactor_defer(n->reactor, &n->flush);
	n->handler.room(n->handler.arg);
}

bool net_send(struct net *n, const struct addr *to, uint16_t port, const uint8_t *bytes, size_t len)
{
	struct net_socket *s = &n->socket[addr_is_v4(to) ? NET_V4 : NET_V6];
	struct net_packet *p;

	if (s->fd < 0)
		return false;
	reactor_defer(n->reactor, &n->flush);
	if (s->outs == NET_BATCH)
		send_out(s);
	if (s->outs == NET_BATCH)
		return false;
	p = &s->out[s->outs++];
	p->to = *to;
	p->port = port;
	p->len = (uint16_t)len;
	memcpy(p->bytes, bytes, len);
	n->in_air++;
	return true;
}

/* Receiving. */

static int receive_some(struct net_socket *s, struct mmsghdr *head, union addr_sock *from)
{
	struct iovec piece[NET_BATCH];

	memset(head, 0, NET_BATCH * sizeof(*head));
	for (size_t i = 0; i < NET_BATCH; i++) {
		piece[i] = (struct iovec){s->net->in[i], sizeof(s->net->in[i])};
		head[i].msg_hdr.msg_name = &from[i];
		head[i].msg_hdr.msg_namelen = sizeof(from[i]);
		head[i].msg_hdr.msg_iov = &piece[i];
		head[i].msg_hdr.msg_iovlen = 1;
	}
	return recvmmsg(s->fd, head, NET_BATCH, MSG_DONTWAIT, NULL);
}

static void take_reply(struct net *n, const union addr_sock *from, const uint8_t *bytes, size_t len)
{
	struct addr a;

	n->counts.received++;
	if (n->in_air > 0)
		n->in_air--;
	if (addr_from_sock(&from->any, &a, NULL))
		n->handler.reply(n->handler.arg, &a, bytes, len);
}

static void take_replies(struct net_socket *s)
{
	struct mmsghdr head[NET_BATCH];
	union addr_sock from[NET_BATCH];

	for (int i = 0; i < DRAIN_BATCHES; i++) {
		int n = receive_some(s, head, from);

		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		for (int k = 0; k < n; k++)
			take_reply(s->net, &from[k], s->net->in[k], head[k].msg_len);
		if (n > 0 && n < NET_BATCH)
			return;
	}
}

/* The error of an ICMP message, or of the kernel itself; 0 = nothing of that. */
static int error_in(struct msghdr *h)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		struct sock_extended_err e;

		if (!(c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) &&
			!(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
			continue;
		memcpy(&e, CMSG_DATA(c), sizeof(e));
		return e.ee_errno == EMSGSIZE ? 0 : (int)e.ee_errno; /* path MTU: no failure */
	}
	return 0;
}

/* One entry of the error queue: what was sent, where to, and why it did not get there. */
static bool take_error(struct net_socket *s)
{
	union addr_sock to = {0};
	uint8_t sent[64], control[256];
	struct iovec piece = {sent, sizeof(sent)};
	struct msghdr h = {.msg_name = &to,
		.msg_namelen = sizeof(to),
		.msg_iov = &piece,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	ssize_t len = recvmsg(s->fd, &h, MSG_ERRQUEUE | MSG_DONTWAIT);
	struct net_failure f;

	if (len < 0)
		return errno == EINTR;
	f.code = error_in(&h);
	if (f.code && rpc_xid(sent, (size_t)len, &f.xid) && addr_from_sock(&to.any, &f.to, &f.port))
		s->net->handler.failure(s->net->handler.arg, &f);
	return true;
}

static void on_event(struct reactor_watch *w, uint32_t events)
{
	struct net_socket *s = container_of(w, struct net_socket, watch);

	if (events & EPOLLERR) {
		for (int i = 0; i < ERRORS_MAX && take_error(s); i++)
			continue;
	}
	if (events & (EPOLLIN | EPOLLERR)) /* a pending error is cleared by receiving, too */
		take_replies(s);
	if (events & EPOLLOUT) {
		set_full(s, false);
		reactor_defer(s->net->reactor, &s->net->flush);
		s->net->handler.room(s->net->handler.arg);
	}
}

/* Life. */

static int watch_socket(struct net *n, struct net_socket *s)
{
	return s->fd < 0 ? 0 : reactor_add(n->reactor, &s->watch, s->fd, EPOLLIN, on_event);
}

int net_start(struct net *n, struct reactor *r, const struct net_handler *h)
{
	int ret;

	n->reactor = r;
	n->handler = *h;
	n->flush.fn = flush;
	n->retry.fn = retry;
	n->slot = r->now;
	ret = watch_socket(n, &n->socket[NET_V4]);
	return ret < 0 ? ret : watch_socket(n, &n->socket[NET_V6]);
}

static uint64_t dropped_by(const struct net_socket *s)
{
	uint32_t info[SK_MEMINFO_VARS] = {0};
	socklen_t len = sizeof(info);

	if (s->fd < 0 || getsockopt(s->fd, SOL_SOCKET, SO_MEMINFO, info, &len) < 0)
		return 0;
	return info[SK_MEMINFO_DROPS];
}

struct net_counts net_counts(const struct net *n)
{
	struct net_counts c = n->counts;

	c.dropped = dropped_by(&n->socket[NET_V4]) + dropped_by(&n->socket[NET_V6]);
	return c;
}

void net_done(struct net *n)
{
	for (int i = NET_V4; i <= NET_V6; i++) {
		if (n->reactor)
			reactor_remove(n->reactor, &n->socket[i].watch);
		fd_close(&n->socket[i].fd);
	}
	if (n->reactor) {
		reactor_undefer(n->reactor, &n->flush);
		reactor_timer_cancel(n->reactor, &n->retry);
	}
	n->reactor = NULL;
}
