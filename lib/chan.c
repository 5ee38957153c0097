/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Typed messages on a socket pair; see chan.h. Frame = 32-bit type in host order, then the body. */
#include "chan.h"

#include "sock.h"
#include "util.h"

#include <errno.h>
#include <stdalign.h>
#include <string.h>
#include <sys/socket.h>

/* Messages received in one turn, so that others have theirs. */
enum { TURN_MAX = 256 };

struct frame {
	uint32_t type;
	uint32_t pad; /* keeps the body aligned to 8 */
	alignas(8) uint8_t body[CHAN_BODY_MAX];
};

struct chan_pending {
	struct chan_pending *next;
	int fd;
	size_t len; /* of the frame */
	struct frame frame;
};

int chan_pair(int ret_fds[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_fds) < 0)
		return -errno;
	return 0;
}

static void free_pending(struct chan *c)
{
	struct chan_pending *p = c->first;

	c->first = p->next;
	if (!c->first)
		c->last = &c->first;
	fd_close(&p->fd);
	free(p);
}

static int keep(struct chan *c, const struct frame *f, size_t len, int fd)
{
	struct chan_pending *p = malloc(offsetof(struct chan_pending, frame) + len);

	if (!p)
		return -ENOMEM;
	p->next = NULL;
	p->fd = fd;
	p->len = len;
	memcpy(&p->frame, f, len);
	*c->last = p;
	c->last = &p->next;
	reactor_change(c->reactor, &c->watch, EPOLLIN | EPOLLOUT);
	return 0;
}

int chan_send(struct chan *c, uint32_t type, const void *body, size_t len, int fd)
{
	struct frame f;
	size_t total = offsetof(struct frame, body) + len;
	ssize_t r;
	int ret = 0;

	if (len > CHAN_BODY_MAX) {
		fd_close(&fd);
		return -EMSGSIZE;
	}
	f.type = type;
	f.pad = 0;
	if (len)
		memcpy(f.body, body, len);
	r = c->first ? -EAGAIN : sock_send_fd(c->fd, &f, total, fd);
	if (r == -EAGAIN && (ret = keep(c, &f, total, fd)) == 0)
		return 0;
	fd_close(&fd);
	return ret < 0 ? ret : (int)MIN_OF(r, (ssize_t)0);
}

static void send_pending(struct chan *c)
{
	while (c->first) {
		ssize_t r = sock_send_fd(c->fd, &c->first->frame, c->first->len, c->first->fd);

		if (r == -EAGAIN)
			return;
		free_pending(c); /* an error shows up on the receiving side too */
	}
	reactor_change(c->reactor, &c->watch, EPOLLIN);
}

/* A single message is the rule: then there is no second look at an empty socket. */
static void receive(struct chan *c)
{
	int burst = c->burst;

	c->burst = MIN_OF(burst * 4, (int)TURN_MAX);
	for (int i = 0; i < burst; i++) {
		struct frame f;
		int fd;
		ssize_t r = sock_recv_fd(c->fd, &f, sizeof(f), &fd);

		if (r == -EAGAIN) {
			c->burst = 1;
			return;
		}
		if (r < (ssize_t)offsetof(struct frame, body)) {
			fd_close(&fd);
			c->ops->closed(c);
			return;
		}
		c->ops->message(c, f.type, f.body, (size_t)r - offsetof(struct frame, body), fd);
		if (c->fd < 0)
			return;
	}
}

static void ready(struct reactor_watch *w, uint32_t events)
{
	struct chan *c = container_of(w, struct chan, watch);

	if (events & EPOLLOUT)
		send_pending(c);
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		receive(c);
}

int chan_init(struct chan *c, struct reactor *r, int fd, const struct chan_ops *ops)
{
	int ret;

	*c = (struct chan){.reactor = r, .ops = ops, .fd = fd, .burst = 1};
	c->last = &c->first;
	ret = reactor_add(r, &c->watch, fd, EPOLLIN, ready);
	if (ret < 0)
		chan_done(c);
	return ret;
}

void chan_done(struct chan *c)
{
	if (c->fd < 0)
		return;
	reactor_remove(c->reactor, &c->watch);
	while (c->first)
		free_pending(c);
	fd_close(&c->fd);
}
