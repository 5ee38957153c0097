/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a connection; its two directions are in conn_receive.c and conn_send.c.
 *
 * Callbacks change state and defer end_of_turn(); only that ends a connection, so nothing is freed
 * under a caller.
 */
#include "conn.h"

#include "log.h"
#include "reply.h"
#include "util.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum {
	US_PER_MS = 1000,
	LINGER_MS = 1000,
	LINGER_HELD_MS = 250,  /* for one whose kernel does not even acknowledge our end */
	LEAVE_MS = 500,        /* for a moment between requests */
	LEAVE_STALL_MS = 5000, /* without taking a byte of its replies */
	STALL_BYTES = 64 * 1024,
	STALL_SHARE = 64
};

static void end_of_turn(struct reactor_task *t);
static void linger_over(struct reactor_timer *t);

struct conn *conn_new(int fd, uint64_t id, const struct features *agreed, uint16_t flags)
{
	struct conn *c = calloc(1, sizeof(*c));
	struct sock_peer peer;

	if (!c) {
		close(fd);
		return NULL;
	}
	sock_peer(fd, &peer);
	memcpy(c->name, peer.name, sizeof(c->name));
	c->local = peer.local;
	c->fd = fd;
	c->id = id;
	c->rules.agreed = *agreed;
	c->rules.flags = flags;
	c->out_last = &c->out;
	c->turn.fn = end_of_turn;
	c->linger.fn = linger_over;
	limiter_init(c);
	buf_init(&c->stash, LANE_RX_BYTES);
	return c;
}

void conn_free(struct conn *c)
{
	if (!c)
		return;
	buf_done(&c->stash);
	fd_close(&c->fd);
	free(c);
}

void conn_wake(struct conn *c)
{
	reactor_defer(&c->lane->reactor, &c->turn);
}

void conn_kill(struct conn *c)
{
	c->state = CONN_DEAD;
	reactor_remove(&c->lane->reactor, &c->watch);
	conn_wake(c);
}

void conn_cut(struct conn *c)
{
	shutdown(c->fd, SHUT_RDWR);
	conn_kill(c);
}

void conn_reply(struct request *rq)
{
	struct conn *c = rq->conn;

	if (rq->error)
		tally_error(&c->tally, rq->error);
	if (c->state == CONN_DEAD) {
		conn_release(c, rq);
		conn_wake(c);
		return;
	}
	reply_build(rq, &c->rules.agreed);
	if (rq->data_len == 0)
		conn_put_data(c, rq);
	rq->next = NULL;
	*c->out_last = rq;
	c->out_last = &rq->next;
	if (!c->fresh)
		c->fresh = rq;
	conn_wake(c);
}

static void ended(struct conn *c)
{
	struct lane *l = c->lane;

	lane_unwait(l, c);
	if (c->storage != l->storage && c->storage->ops->own_fd)
		windows_forget(&l->windows, c->storage->ops->own_fd(c->storage));
	reactor_remove(&l->reactor, &c->watch);
	reactor_undefer(&l->reactor, &c->turn);
	reactor_timer_cancel(&l->reactor, &c->linger);
	limiter_done(c);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	l->ended(l, c);
}

/* It leaves, and is not through with it. A slow disk is waited for, a client that takes nothing is
 * not. */
static void look_how_it_leaves(struct conn *c)
{
	if (c->deaf && c->send_full && c->moved == c->leave_moved) {
		conn_log(c, LOG_LEVEL_WARN, "cut: it was to leave, and does not take its replies");
		conn_kill(c);
		return;
	}
	c->deaf = true;
	c->leave_moved = c->moved;
	reactor_timer_set(&c->lane->reactor, &c->linger, LEAVE_STALL_MS);
	conn_wake(c);
}

/* Not even the kernel of the client says that it has our end, and it is not far away: packets are
 * held while a pair moves, or it is gone. It would be waited for in vain. */
static bool is_held(const struct conn *c)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);
	int unacknowledged = 0;

	return !c->local && ioctl(c->fd, SIOCOUTQ, &unacknowledged) == 0 && unacknowledged > 0 &&
		getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
		info.tcpi_last_ack_recv >= LINGER_HELD_MS / 2 &&
		info.tcpi_last_ack_recv >= 2 * info.tcpi_rtt / US_PER_MS;
}

static void look_how_it_lingers(struct conn *c)
{
	uint64_t now = c->lane->reactor.now;

	if (now >= c->linger_end || is_held(c))
		conn_kill(c);
	else
		reactor_timer_set(&c->lane->reactor, &c->linger, c->linger_end - now);
}

static void linger_over(struct reactor_timer *t)
{
	struct conn *c = container_of(t, struct conn, linger);

	if (c->state == CONN_LINGER)
		look_how_it_lingers(c);
	else if (c->state != CONN_DEAD)
		look_how_it_leaves(c);
}

static bool between_requests(const struct conn *c)
{
	return c->requests == 0 && !c->filling && !c->blocked && c->head_len == 0 &&
		buf_len(&c->stash) == 0;
}

/*
 * Shut down our side and wait for the client's end: closing with unread bytes of the client in
 * the socket would reset the connection and could destroy replies it has not read yet.
 */
static void begin_linger(struct conn *c)
{
	c->state = CONN_LINGER;
	c->linger_end = c->lane->reactor.now + LINGER_MS;
	shutdown(c->fd, SHUT_WR);
	reactor_timer_set(&c->lane->reactor, &c->linger, LINGER_HELD_MS);
	reactor_change(&c->lane->reactor, &c->watch, EPOLLIN);
}

static void drop_queue(struct conn *c)
{
	while (c->out) {
		struct request *rq = c->out;

		c->out = rq->next;
		conn_release(c, rq);
	}
	c->out_last = &c->out;
	c->fresh = NULL;
	if (c->filling)
		conn_release(c, c->filling);
	c->filling = NULL;
}

static bool is_reading(const struct conn *c)
{
	return c->state == CONN_OPEN && !c->blocked && !c->deaf;
}

static void watch_what_matters(struct conn *c)
{
	uint32_t events = 0;

	if (c->state == CONN_LINGER || is_reading(c))
		events |= EPOLLIN;
	if (c->send_full)
		events |= EPOLLOUT;
	reactor_change(&c->lane->reactor, &c->watch, events);
}

/* The part of a request that was not received to its end: it was not begun either. */
static void drop_partial(struct conn *c)
{
	c->head_len = 0;
	if (c->filling)
		conn_release(c, c->filling);
	c->filling = NULL;
}

/* Is this the moment to end it? */
static bool may_go(struct conn *c)
{
	if (c->state != CONN_OPEN)
		return false;
	if (c->deaf && !c->blocked)
		drop_partial(c);
	return between_requests(c) && (c->deaf || !conn_receive(c)) && c->state == CONN_OPEN;
}

static void end_of_turn(struct reactor_task *t)
{
	struct conn *c = container_of(t, struct conn, turn);
	int sent = c->state == CONN_DEAD ? 0 : conn_send(c);

	if (sent < 0)
		conn_kill(c);
	if (c->state == CONN_DEAD) {
		drop_queue(c);
		if (c->requests == 0)
			ended(c);
		return;
	}
	c->send_full = sent == 0;
	if (c->blocked && !c->is_waiting && sent == 1)
		conn_resume(c);
	if (c->leaving && may_go(c))
		begin_linger(c);
	if (c->state == CONN_ENDING && c->requests == 0) {
		ended(c);
		return;
	}
	watch_what_matters(c);
}

/* After our shutdown whatever comes is read and thrown away until the client closes. */
static void discard(struct conn *c)
{
	ssize_t n = recv(c->fd, c->lane->rx, LANE_RX_BYTES, MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		conn_kill(c);
}

static void ready(struct reactor_watch *w, uint32_t events)
{
	struct conn *c = container_of(w, struct conn, watch);

	if (c->state == CONN_LINGER)
		discard(c);
	else if ((events & EPOLLIN) && is_reading(c))
		conn_receive(c);
	else if (events & (EPOLLHUP | EPOLLERR))
		conn_kill(c);
	conn_wake(c);
}

static bool look(struct reactor_watch *w)
{
	struct conn *c = container_of(w, struct conn, watch);

	if (!is_reading(c) || (!conn_receive(c) && c->state == CONN_OPEN))
		return false;
	conn_wake(c);
	return true;
}

void conn_begin(struct conn *c)
{
	struct lane *l = c->lane;
	int ret;

	c->next = l->conns;
	c->link = &l->conns;
	if (c->next)
		c->next->link = &c->next;
	l->conns = c;
	ret = reactor_add(&l->reactor, &c->watch, c->fd, EPOLLIN, ready);
	if (ret < 0) {
		conn_log(c, LOG_LEVEL_ERROR, "ended: %s", strerror(-ret));
		conn_kill(c);
		return;
	}
	c->watch.look = look;
	c->rest_since = l->reactor.now;
	lane_watch_rest(l);
	if (l->draining || c->outdated)
		conn_leave(c);
	conn_receive(c); /* its first requests may have come before us */
	conn_wake(c);
}

void conn_leave(struct conn *c)
{
	if (c->leaving || c->state != CONN_OPEN)
		return;
	c->leaving = true;
	reactor_timer_set(&c->lane->reactor, &c->linger, LEAVE_MS);
	limiter_forgive(c);
	conn_wake(c);
}

/* A write whose data is still coming was checked already. */
static void check_filling(struct conn *c)
{
	struct request *rq = c->filling;

	if (!rq || rq->error)
		return;
	rq->error = request_beyond(&rq->nbd, c->rules.size, &rq->text);
	if (rq->error)
		c->skip = rq->nbd.length - rq->filled;
}

bool conn_resize(struct conn *c, uint64_t size)
{
	bool stays = c->state == CONN_OPEN && !c->leaving;

	if (c->rules.size == size)
		return false;
	c->rules.size = MIN_OF(c->rules.size, size);
	check_filling(c);
	conn_leave(c);
	return stays;
}

bool conn_is_idle(struct conn *c, uint64_t now, uint64_t limit)
{
	bool rests = c->state == CONN_OPEN && !c->leaving && !c->blocked &&
		c->requests == (c->filling ? 1 : 0) && c->moved == c->rest_moved;

	if (!rests) {
		c->rest_since = now;
		c->rest_moved = c->moved;
	}
	return rests && now - c->rest_since >= limit;
}

bool conn_is_stalled(struct conn *c, uint64_t now, uint64_t stall)
{
	bool holds = c->filling || (c->out && c->send_full), slow;

	if (c->state == CONN_DEAD || !holds || !c->window_at) {
		c->window_at = holds ? now : 0;
		c->window_moved = c->moved;
		return false;
	}
	if (now - c->window_at < stall)
		return false;
	slow = c->moved - c->window_moved < STALL_BYTES + c->bytes / STALL_SHARE;
	c->window_at = now;
	c->window_moved = c->moved;
	return slow;
}
