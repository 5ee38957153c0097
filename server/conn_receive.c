/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Receiving: bytes to requests with their payload. Bytes are taken in this order: stash, then
 * socket. A request without room for it waits in `pending`, and nothing more is read meanwhile.
 */
#include "conn.h"

#include "exec.h"
#include "limiter.h"
#include "log.h"
#include "util.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

enum { LONG_PAYLOAD = 16 * 1024, AFTER_LONG_PAYLOAD = 256 };

static void protocol_error(struct conn *c, const char *what)
{
	conn_log(c, LOG_LEVEL_WARN, "ended: %s", what);
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
	conn_wake(c);
}

/* Room for one more request with a buffer of COST bytes? One alone always has. */
static bool within_limits(const struct conn *c, size_t cost)
{
	const struct lane_limits *l = &c->lane->limits;

	return c->requests == 0 ||
		(c->requests < l->requests && (cost == 0 || c->bytes + cost <= l->conn_bytes));
}

/* The payload is here (or there is none): runs, or is answered with its error. */
static void launch(struct conn *c, struct request *rq)
{
	tally_request(&c->tally, rq->nbd.type);
	rq->began = c->lane->reactor.now_ns;
	if (rq->error)
		conn_reply(rq);
	else
		exec_start(rq);
}

/* Gives the decoded request a slot and a buffer; false if there is no room now. */
static bool admit(struct conn *c, const struct nbd_request *nbd)
{
	uint64_t payload = request_payload(nbd, c->rules.agreed.extended);
	const char *text;
	int error = request_check(nbd, &c->rules, &text);
	size_t need = error ? 0 : request_buffer(nbd);
	struct request *rq;

	if (!within_limits(c, need ? pool_cost(need) : 0))
		return false;
	rq = exec_slot(c, nbd, need);
	if (!rq) {
		lane_wait(c->lane, c);
		return false;
	}
	limiter_next(&c->debt);
	rq->nbd = *nbd;
	rq->conn = c;
	rq->error = error;
	rq->text = text;
	c->requests++;
	tally_in_flight(&c->tally, c->requests);
	c->bytes += rq->data_cost;
	c->skip = error ? payload : 0;
	if (payload > 0)
		c->filling = rq;
	else
		launch(c, rq);
	return true;
}

static bool is_paid(struct conn *c, const struct nbd_request *nbd)
{
	return !c->lane->throttle || limiter_pay(c, nbd);
}

/* False: blocked, the request waits in c->pending. */
static bool take_request(struct conn *c, const struct nbd_request *nbd)
{
	if (nbd->type == NBD_CMD_DISC) {
		stop_reading(c);
		return true;
	}
	if (request_payload(nbd, c->rules.agreed.extended) > UINT32_MAX) {
		protocol_error(c, "payload of more than 4 GiB announced");
		return true;
	}
	if (is_paid(c, nbd) && admit(c, nbd))
		return true;
	c->pending = *nbd;
	c->blocked = true;
	return false;
}

static size_t header_bytes(const struct conn *c)
{
	return c->rules.agreed.extended ? NBD_REQUEST_EXT_BYTES : NBD_REQUEST_BYTES;
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
	if (nbd_request_decode(p, c->rules.agreed.extended, &nbd) < 0)
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

/*
 * A payload goes straight into its buffer, what follows into the lane's. Behind the rest of a long
 * one that is hardly more than the next header, so that the next payload is not copied twice.
 */
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
	iov[n++] = (struct iovec){
		c->lane->rx, *ret_direct >= LONG_PAYLOAD ? AFTER_LONG_PAYLOAD : LANE_RX_BYTES};
	r = readv(c->fd, iov, n);
	return r < 0 ? -errno : r;
}

/* 1 = received, 0 = nothing there. */
int conn_receive(struct conn *c)
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

	if (c->state != CONN_OPEN || !c->blocked || c->is_waiting || limiter_waits(&c->debt))
		return;
	c->blocked = false;
	if (take_request(c, &nbd))
		take_stash(c);
	conn_wake(c);
}
