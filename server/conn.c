/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Receiving and the life of a connection; sending is in conn_send.c.
 *
 * Callbacks change state and defer conn_turn(); only conn_turn() ends a connection, so nothing is
 * freed under a caller. Bytes are taken in this order: stash, then socket.
 */
#include "conn.h"

#include "exec.h"
#include "log.h"
#include "reply.h"
#include "util.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { LINGER_MS = 1000, SPLICE_MIN = 64 * 1024, STALL_BYTES = 64 * 1024, STALL_SHARE = 64 };

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
	c->fd = fd;
	c->id = id;
	c->agreed = *agreed;
	c->flags = flags;
	c->out_last = &c->out;
	c->turn.fn = end_of_turn;
	c->linger.fn = linger_over;
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

static void wake(struct conn *c)
{
	reactor_defer(&c->lane->reactor, &c->turn);
}

void conn_kill(struct conn *c)
{
	c->state = CONN_DEAD;
	reactor_remove(&c->lane->reactor, &c->watch);
	wake(c);
}

static void protocol_error(struct conn *c, const char *what)
{
	log_peer(LOG_LEVEL_WARN, "%s: ended: %s", c->name, what);
	conn_kill(c);
}

/* The client sends no more; what it sent is answered. */
static void stop_reading(struct conn *c)
{
	if (c->state != CONN_OPEN)
		return;
	c->state = CONN_ENDING;
	if (c->filling) {
		conn_release(c, c->filling);
		c->filling = NULL;
	}
	wake(c);
}

/* Room for one more request with a buffer of COST bytes? One alone always has. */
static bool within_limits(const struct conn *c, size_t cost)
{
	const struct lane_limits *l = &c->lane->limits;

	return c->requests == 0 ||
		(c->requests < l->requests && (cost == 0 || c->bytes + cost <= l->conn_bytes));
}

static struct request_rules rules_of(const struct conn *c)
{
	const struct export_facts *facts = &c->lane->storage->facts;

	return (struct request_rules){.size = facts->size,
		.flags = c->flags,
		.block_min = facts->block_min,
		.agreed = c->agreed,
		.shutting_down = c->lane->draining};
}

static void count(struct conn *c, const struct request *rq)
{
	struct lane_stats *s = &c->lane->stats;

	if (rq->nbd.type < NBD_CMD_COUNT)
		atomic_fetch_add_explicit(&s->requests[rq->nbd.type], 1, memory_order_relaxed);
}

/* The payload is here (or there is none): runs, or is answered with its error. */
static void launch(struct conn *c, struct request *rq)
{
	count(c, rq);
	if (rq->error)
		conn_reply(rq);
	else
		exec_start(rq);
}

/*
 * With a pipe for long reads, if there is one, else with a buffer. A slot is only taken to be kept:
 * putting one back wakes those who wait, and two of them would wake each other for ever.
 */
static struct request *get_slot(struct conn *c, const struct nbd_request *nbd, size_t need)
{
	struct lane *l = c->lane;
	struct pipe *p = NULL;
	struct request *rq;

	if (nbd->type == NBD_CMD_READ && need >= SPLICE_MIN && l->storage->spliceable)
		p = lane_get_pipe(l, nbd->offset, nbd->length);
	rq = lane_get_request(l, p ? 0 : need);
	if (rq)
		rq->pipe = p;
	else if (p)
		lane_put_pipe(l, p);
	return rq;
}

/* Gives the decoded request a slot and a buffer; false if there is no room now. */
static bool admit(struct conn *c, const struct nbd_request *nbd)
{
	struct request_rules rules = rules_of(c);
	uint64_t payload = request_payload(nbd, c->agreed.extended);
	const char *text;
	int error = request_check(nbd, &rules, &text);
	size_t need = error ? 0 : request_buffer(nbd);
	struct request *rq;

	if (!within_limits(c, need ? pool_cost(need) : 0))
		return false;
	rq = get_slot(c, nbd, need);
	if (!rq) {
		lane_wait(c->lane, c);
		return false;
	}
	rq->nbd = *nbd;
	rq->conn = c;
	rq->error = error;
	rq->text = text;
	c->requests++;
	c->bytes += rq->data_cost;
	c->skip = error ? payload : 0;
	if (payload > 0)
		c->filling = rq;
	else
		launch(c, rq);
	return true;
}

/* False: blocked, the request waits in c->pending. */
static bool take_request(struct conn *c, const struct nbd_request *nbd)
{
	if (nbd->type == NBD_CMD_DISC) {
		stop_reading(c);
		return true;
	}
	if (request_payload(nbd, c->agreed.extended) > UINT32_MAX) {
		protocol_error(c, "payload of more than 4 GiB announced");
		return true;
	}
	if (admit(c, nbd))
		return true;
	c->pending = *nbd;
	c->blocked = true;
	return false;
}

static size_t header_bytes(const struct conn *c)
{
	return c->agreed.extended ? NBD_REQUEST_EXT_BYTES : NBD_REQUEST_BYTES;
}

/* Returns the bytes used. */
static size_t take_header(struct conn *c, const uint8_t *p, size_t len)
{
	size_t need = header_bytes(c), take = MIN_OF(len, need - c->head_len);
	struct nbd_request nbd;

	if (c->head_len > 0 || take < need) {
		memcpy(c->head + c->head_len, p, take);
		c->head_len += take;
		if (c->head_len < need)
			return take;
		p = c->head;
	}
	c->head_len = 0;
	if (nbd_request_decode(p, c->agreed.extended, &nbd) < 0)
		protocol_error(c, "request with a wrong magic number");
	else
		take_request(c, &nbd);
	return take;
}

static void payload_complete(struct conn *c)
{
	struct request *rq = c->filling;

	c->filling = NULL;
	launch(c, rq);
}

static size_t take_payload(struct conn *c, const uint8_t *p, size_t len)
{
	struct request *rq = c->filling;
	size_t take;

	if (rq->error) {
		take = (size_t)MIN_OF((uint64_t)len, c->skip);
		c->skip -= take;
		if (c->skip == 0)
			payload_complete(c);
		return take;
	}
	take = MIN_OF(len, (size_t)rq->nbd.length - rq->filled);
	memcpy(rq->data + rq->filled, p, take);
	rq->filled += take;
	if (rq->filled == rq->nbd.length)
		payload_complete(c);
	return take;
}

/* Returns the bytes used: fewer than LEN if blocked or no longer open. */
static size_t consume(struct conn *c, const uint8_t *p, size_t len)
{
	size_t used = 0;

	while (used < len && c->state == CONN_OPEN && !c->blocked) {
		if (c->filling)
			used += take_payload(c, p + used, len - used);
		else
			used += take_header(c, p + used, len - used);
	}
	return used;
}

/* A payload goes straight into its buffer, what follows into the lane's. */
static ssize_t receive_bytes(struct conn *c, size_t *ret_direct)
{
	struct request *rq = c->filling;
	struct iovec iov[2];
	int n = 0;
	ssize_t r;

	*ret_direct = 0;
	if (rq && !rq->error) {
		*ret_direct = (size_t)rq->nbd.length - rq->filled;
		iov[n++] = (struct iovec){rq->data + rq->filled, *ret_direct};
	}
	iov[n++] = (struct iovec){c->lane->rx, LANE_RX_BYTES};
	r = readv(c->fd, iov, n);
	return r < 0 ? -errno : r;
}

/* 1 = received, 0 = nothing there. */
static int receive(struct conn *c)
{
	size_t direct, used, len;
	ssize_t n = receive_bytes(c, &direct);

	if (n == -EAGAIN || n == -EINTR)
		return 0;
	if (n < 0) {
		conn_kill(c);
		return 0;
	}
	if (n == 0) {
		stop_reading(c);
		return 0;
	}
	c->moved += (uint64_t)n;
	if (direct > 0) {
		size_t got = MIN_OF((size_t)n, direct);

		c->filling->filled += got;
		if (got == direct)
			payload_complete(c);
		n -= (ssize_t)got;
	}
	len = (size_t)n;
	used = consume(c, c->lane->rx, len);
	if (used < len && c->state == CONN_OPEN)
		buf_put(&c->stash, c->lane->rx + used, len - used);
	return 1;
}

static void take_stash(struct conn *c)
{
	size_t used = consume(c, buf_bytes(&c->stash), buf_len(&c->stash));

	if (used > 0)
		buf_take(&c->stash, used);
	if (buf_failed(&c->stash))
		protocol_error(c, "out of memory");
}

void conn_resume(struct conn *c)
{
	struct nbd_request nbd = c->pending;

	if (c->state != CONN_OPEN || !c->blocked || c->is_waiting)
		return;
	c->blocked = false;
	if (take_request(c, &nbd))
		take_stash(c);
	wake(c);
}

void conn_reply(struct request *rq)
{
	struct conn *c = rq->conn;

	if (rq->error)
		atomic_fetch_add_explicit(&c->lane->stats.errors, 1, memory_order_relaxed);
	if (c->state == CONN_DEAD) {
		conn_release(c, rq);
		wake(c);
		return;
	}
	reply_build(rq, &c->agreed);
	rq->next = NULL;
	*c->out_last = rq;
	c->out_last = &rq->next;
	wake(c);
}

static void ended(struct conn *c)
{
	struct lane *l = c->lane;

	lane_unwait(l, c);
	reactor_remove(&l->reactor, &c->watch);
	reactor_undefer(&l->reactor, &c->turn);
	reactor_timer_cancel(&l->reactor, &c->linger);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	l->ended(l, c);
}

static void linger_over(struct reactor_timer *t)
{
	struct conn *c = container_of(t, struct conn, linger);

	conn_kill(c);
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
	shutdown(c->fd, SHUT_WR);
	reactor_timer_set(&c->lane->reactor, &c->linger, LINGER_MS);
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
	if (c->filling)
		conn_release(c, c->filling);
	c->filling = NULL;
}

static void watch_what_matters(struct conn *c)
{
	uint32_t events = 0;

	if (c->state == CONN_LINGER || (c->state == CONN_OPEN && !c->blocked))
		events |= EPOLLIN;
	if (c->send_full)
		events |= EPOLLOUT;
	reactor_change(&c->lane->reactor, &c->watch, events);
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
	if (c->state == CONN_OPEN && c->lane->draining && between_requests(c) && !receive(c) &&
		c->state == CONN_OPEN)
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
	else if ((events & EPOLLIN) && c->state == CONN_OPEN && !c->blocked)
		receive(c);
	else if (events & (EPOLLHUP | EPOLLERR))
		conn_kill(c);
	wake(c);
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
		log_peer(LOG_LEVEL_ERROR, "%s: ended: %s", c->name, strerror(-ret));
		conn_kill(c);
	} else if (l->draining) {
		wake(c);
	}
}

void conn_drain(struct conn *c)
{
	wake(c);
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
