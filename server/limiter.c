/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Paying, slice by slice: a connection asks for the next one only when the moment of the last has
 * come, so others have theirs in between, and all connections are served in turn. The clock is that
 * of the turn: a moment that passes meanwhile is not lost, see throttle.h.
 */
#include "limiter.h"

#include "conn.h"
#include "util.h"

enum { MS = 1000 * 1000 };

static void moment(struct reactor_timer *t)
{
	conn_resume(container_of(t, struct conn, debt.timer));
}

void limiter_init(struct conn *c)
{
	c->debt.timer.fn = moment;
}

void limiter_done(struct conn *c)
{
	reactor_timer_cancel(&c->lane->reactor, &c->debt.timer);
}

/* When the next part may be had, ns. */
static uint64_t take_slice(struct throttle *t, struct limiter_debt *d, uint64_t now)
{
	uint64_t bytes = MIN_OF(d->bytes, throttle_slice(t)), at = 0;

	if (!d->known)
		at = throttle_take(t, THROTTLE_REQUESTS, 1, now);
	d->known = true;
	d->bytes -= bytes;
	return MAX_OF(at, throttle_take(t, THROTTLE_BYTES, bytes, now));
}

/* What is sent, or was refused before it was, is paid for too; nothing longer is ever moved. */
static uint64_t bytes_of(const struct nbd_request *nbd)
{
	bool moves = nbd->type == NBD_CMD_READ || nbd->type == NBD_CMD_WRITE;

	return moves ? MIN_OF(nbd->length, (uint64_t)REQUEST_PAYLOAD_MAX) : 0;
}

bool limiter_pay(struct conn *c, const struct nbd_request *nbd)
{
	struct reactor *r = &c->lane->reactor;
	struct limiter_debt *d = &c->debt;
	uint64_t now = r->now * MS;

	if (c->leaving)
		return true;
	if (!d->known)
		d->bytes = bytes_of(nbd);
	while (!d->known || d->bytes > 0) {
		uint64_t at = take_slice(c->lane->throttle, d, now);

		/* Without memory for the timer it goes on: a limit is no reason to hang. */
		if (at > now && reactor_timer_set(r, &d->timer, (at - now + MS - 1) / MS) == 0)
			return false;
	}
	return true;
}

void limiter_forgive(struct conn *c)
{
	if (!limiter_waits(&c->debt))
		return;
	limiter_done(c);
	conn_wake(c);
}

void limiter_change(struct lane *l, struct throttle *t)
{
	struct conn *next;

	l->throttle = t;
	for (struct conn *c = l->conns; c; c = next) {
		next = c->next;
		c->debt.known = c->debt.known && !limiter_waits(&c->debt);
		limiter_forgive(c);
	}
}
