/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sending replies: everything that is ready in as few sendmsg calls as possible, data of short
 * reads right from the page cache through a window (windows.h); data of long reads by splice from
 * the pipe that holds its pages.
 *
 * Pages are sent as they are when they leave, not as they were when the request came. A client
 * that overwrites or trims a range while its READ is unanswered may see either state, for any
 * server; the answer is complete only when the client has received its last byte, so that is all
 * it means here too. Truncation: a page in a pipe or socket stays alive as long as they hold it; a
 * page seen through a window is gone, sendmsg fails with EFAULT, and repair() makes the reply an
 * error if its head has not left. That it has is rare: the end of the file is looked up just before
 * (check_ends()), and a reply that has to wait half sent is copied (keep_rest()).
 */
#include "conn.h"

#include "clock.h"
#include "reply.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
	IOV_COUNT = 256,
	SEND_BYTES = 1024 * 1024,
	VIEW_BYTES = 64 * 1024,
	REPAIRS_MAX = 1000,
	TURN_BYTES = 1024 * 1024
};

void conn_put_data(struct conn *c, struct request *rq)
{
	c->bytes -= rq->data_cost;
	lane_put_data(c->lane, rq);
}

void conn_release(struct conn *c, struct request *rq)
{
	c->requests--;
	counter_set(&c->tally.in_flight, c->requests);
	c->bytes -= rq->data_cost;
	lane_put_request(c->lane, rq);
}

static uint8_t *data_of(const struct request *rq)
{
	return rq->window ? (uint8_t *)(uintptr_t)rq->view : rq->data;
}

/* Appends the part of a reply behind its first SKIP bytes; returns the iovecs used. */
static int add_reply(struct iovec *iov, struct request *rq, size_t skip, size_t *total)
{
	int n = 0;

	if (skip < rq->head_len)
		iov[n++] = (struct iovec){rq->head + skip, rq->head_len - skip};
	skip -= MIN_OF(skip, rq->head_len);
	if (!rq->pipe && skip < rq->data_len)
		iov[n++] = (struct iovec){data_of(rq) + skip, rq->data_len - skip};
	for (int i = 0; i < n; i++)
		*total += iov[i].iov_len;
	return n;
}

/* The less is sent at once, the less time there is for pages to go between check and use. */
static bool fits(const struct request *rq, size_t total)
{
	if (total == 0 || !rq->window || rq->data_len <= POOL_PAGE)
		return total < SEND_BYTES;
	return total + rq->data_len <= VIEW_BYTES;
}

/* Up to and including the head of the first reply whose data is in a pipe. */
static int gather(const struct conn *c, struct iovec *iov, size_t *ret_total, bool *ret_more)
{
	size_t skip = c->out_sent;
	int n = 0;

	*ret_total = 0;
	*ret_more = false;
	for (struct request *rq = c->out; rq && n + 2 <= IOV_COUNT && fits(rq, *ret_total);
		rq = rq->next) {
		n += add_reply(iov + n, rq, skip, ret_total);
		skip = 0;
		*ret_more = rq->pipe && rq->data_len > 0;
		if (*ret_more)
			break;
	}
	return n;
}

static void count_sent(struct conn *c, const struct request *rq)
{
	if (rq->error)
		return;
	tally_success(&c->tally, rq->nbd.type, rq->nbd.length);
}

/*
 * Once for all replies of a turn, behind the first call that sends some: a short read copies its
 * pages only there, and may wait for them. That a client is slow to take its replies is not
 * counted.
 */
static void take_times(struct conn *c)
{
	uint64_t now;

	if (!c->fresh)
		return;
	now = clock_ns();
	for (struct request *rq = c->fresh; rq; rq = rq->next)
		tally_latency(&c->tally, rq->nbd.type, now - rq->began);
	c->fresh = NULL;
}

/* Gives back what N more bytes complete. */
static void advance(struct conn *c, size_t n)
{
	c->moved += n;
	n += c->out_sent;
	while (c->out && n >= c->out->head_len + c->out->data_len) {
		struct request *rq = c->out;

		n -= rq->head_len + rq->data_len;
		c->out = rq->next;
		if (!c->out)
			c->out_last = &c->out;
		count_sent(c, rq);
		if (rq->pipe)
			rq->pipe->used = rq->error != 0; /* all of it went out */
		conn_release(c, rq);
	}
	c->out_sent = n;
}

/* Is the first reply's data in a pipe, with the head already sent? */
static bool at_pipe(const struct conn *c)
{
	return c->out->pipe && c->out->data_len > 0 && c->out_sent >= c->out->head_len;
}

static ssize_t send_pipe(struct conn *c)
{
	struct request *rq = c->out;
	size_t left = rq->head_len + rq->data_len - c->out_sent;

	return splice(rq->pipe->fds[0], NULL, c->fd, NULL, left,
		SPLICE_F_NONBLOCK | SPLICE_F_MOVE | (rq->next ? SPLICE_F_MORE : 0));
}

static ssize_t send_copied(struct conn *c)
{
	struct iovec iov[IOV_COUNT];
	struct msghdr msg = {.msg_iov = iov};
	size_t total;
	bool more;

	msg.msg_iovlen = (size_t)gather(c, iov, &total, &more);
	return sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0));
}

/*
 * A page seen through a window cannot be had: its reply becomes an error, unless its head is out
 * already; then only the end of the connection can tell the client (false).
 */
static bool fail_view(struct conn *c, struct request *rq)
{
	if (rq == c->out && c->out_sent > 0)
		return false;
	rq->error = request_beyond(&rq->nbd, c->rules.size, &rq->text);
	if (!rq->error)
		rq->error = EIO;
	tally_error(&c->tally, rq->error);
	reply_build(rq, &c->rules.agreed);
	return true;
}

static bool repair(struct conn *c)
{
	for (struct request *rq = c->out; rq; rq = rq->next) {
		if (rq->window && !rq->error && !windows_readable(rq->view, rq->data_len) &&
			!fail_view(c, rq))
			return false;
	}
	return true;
}

/* The view that reaches furthest into its file. */
static struct request *furthest_view(const struct conn *c)
{
	struct request *found = NULL;

	for (struct request *rq = c->out; rq; rq = rq->next) {
		if (rq->window && !rq->error &&
			(!found ||
				rq->nbd.offset + rq->nbd.length >
					found->nbd.offset + found->nbd.length))
			found = rq;
	}
	return found;
}

/*
 * Just before views are sent: is the file still as long as they need? The last page of a file has
 * zeros behind its end, and a socket may cut a reply in two, its head sent before a page turns out
 * to be gone.
 */
static bool check_ends(struct conn *c)
{
	struct request *rq;

	while ((rq = furthest_view(c)) && windows_beyond(rq->window, rq->view, rq->data_len) > 0) {
		if (!fail_view(c, rq))
			return false;
	}
	return true;
}

/*
 * The head of a reply is out and its data has to wait for room: it must not depend on pages that
 * may be gone by then. (Without a buffer, or too late, it stays as it is.)
 */
static void keep_rest(struct conn *c)
{
	struct request *rq = c->out;
	struct lane *l = c->lane;
	size_t sent = c->out_sent - MIN_OF(c->out_sent, rq->head_len);
	uint8_t *data;

	if (!rq->window || c->out_sent == 0 || !(data = pool_get(&l->pool, rq->data_len)))
		return;
	if (!windows_copy(data + sent, rq->view + sent, rq->data_len - sent)) {
		pool_put(&l->pool, data);
		return;
	}
	windows_put(rq->window);
	rq->window = NULL;
	rq->data = data;
	rq->data_cost = pool_cost(rq->data_len);
	c->bytes += rq->data_cost;
}

/* Full for the first time: a larger one may do. */
static bool make_room(struct conn *c)
{
	bool first = !c->grown;

	c->grown = true;
	return first && sock_grow(c->fd);
}

int conn_send(struct conn *c)
{
	uint64_t began = c->moved;
	int repairs = 0;

	while (c->out && c->moved - began < TURN_BYTES) { /* then others have their turn */
		ssize_t n = -1;

		if (!at_pipe(c) && !check_ends(c))
			return -1;
		n = at_pipe(c) ? send_pipe(c) : send_copied(c);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EFAULT && repairs++ < REPAIRS_MAX && repair(c))
			continue;
		if (n < 0 && errno == EAGAIN && make_room(c))
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0)
			return -1;
		take_times(c);
		advance(c, (size_t)n);
	}
	if (!c->out)
		return 1;
	take_times(c);
	keep_rest(c);
	return 0;
}
