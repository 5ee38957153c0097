/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sending replies: everything that is ready in as few sendmsg calls as possible. */
#include "conn.h"

#include "util.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { IOV_COUNT = 256, SEND_BYTES = 4 * 1024 * 1024 };

void conn_release(struct conn *c, struct request *rq)
{
	c->requests--;
	c->bytes -= rq->data_cost;
	lane_put_request(c->lane, rq);
}

/* Appends the part of a reply behind its first SKIP bytes; returns the iovecs used. */
static int add_reply(struct iovec *iov, struct request *rq, size_t skip, size_t *total)
{
	int n = 0;

	if (skip < rq->head_len)
		iov[n++] = (struct iovec){rq->head + skip, rq->head_len - skip};
	skip -= MIN_OF(skip, rq->head_len);
	if (skip < rq->data_len)
		iov[n++] = (struct iovec){rq->data + skip, rq->data_len - skip};
	for (int i = 0; i < n; i++)
		*total += iov[i].iov_len;
	return n;
}

static int gather(const struct conn *c, struct iovec *iov, size_t *ret_total)
{
	size_t skip = c->out_sent;
	int n = 0;

	*ret_total = 0;
	for (struct request *rq = c->out; rq && n + 2 <= IOV_COUNT && *ret_total < SEND_BYTES;
		rq = rq->next) {
		n += add_reply(iov + n, rq, skip, ret_total);
		skip = 0;
	}
	return n;
}

static void count_sent(struct conn *c, const struct request *rq)
{
	struct lane_stats *s = &c->lane->stats;

	if (rq->error)
		return;
	if (rq->nbd.type == NBD_CMD_READ)
		atomic_fetch_add_explicit(&s->bytes_read, rq->nbd.length, memory_order_relaxed);
	else if (rq->nbd.type == NBD_CMD_WRITE)
		atomic_fetch_add_explicit(&s->bytes_written, rq->nbd.length, memory_order_relaxed);
}

/* Gives back what N more bytes complete. */
static void advance(struct conn *c, size_t n)
{
	n += c->out_sent;
	while (c->out && n >= c->out->head_len + c->out->data_len) {
		struct request *rq = c->out;

		n -= rq->head_len + rq->data_len;
		c->out = rq->next;
		if (!c->out)
			c->out_last = &c->out;
		count_sent(c, rq);
		conn_release(c, rq);
	}
	c->out_sent = n;
}

int conn_send(struct conn *c)
{
	struct iovec iov[IOV_COUNT];

	while (c->out) {
		size_t total;
		struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)gather(c, iov, &total)};
		ssize_t n = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		c->progress_at = c->lane->reactor.now;
		advance(c, (size_t)n);
		if ((size_t)n < total)
			return 0;
	}
	return 1;
}
