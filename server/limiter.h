/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The limits of an export (throttle.h) at a lane's connections. A request is paid for when its
 * header is here; until then the connection is blocked: its socket is not read, what was received
 * is kept. A timer of each connection goes on with it, so nobody looks again and again.
 *
 * Without limits the lane has no throttle, and nothing of this is called. All in the lane's thread.
 */
#ifndef SERVER_LIMITER_H
#define SERVER_LIMITER_H

#include "nbd.h"
#include "reactor.h"
#include "throttle.h"

struct conn;
struct lane;

/* Of a connection: what it owes for its next request. */
struct limiter_debt {
	struct reactor_timer timer; /* set: it waits */
	bool known;                 /* of that request */
	uint64_t bytes;             /* not asked for yet */
};

void limiter_init(struct conn *c);
/* The connection ends. */
void limiter_done(struct conn *c);

/* May this request go on? If not, conn_resume() is called when it may. One that may is not asked
 * for again until limiter_next(). */
bool limiter_pay(struct conn *c, const struct nbd_request *nbd);

/* The next request is another one. */
static inline void limiter_next(struct limiter_debt *d)
{
	d->known = false;
}

static inline bool limiter_waits(const struct limiter_debt *d)
{
	return d->timer.slot;
}

/* It ends: what it has sent already is not held up. */
void limiter_forgive(struct conn *c);

/* The limits have changed; T = NULL: there are none. */
void limiter_change(struct lane *l, struct throttle *t);

#endif
