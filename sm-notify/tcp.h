/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls over TCP, for peers that UDP does not reach. A conversation is one connection with one call
 * and one reply; it takes at most TCP_TOTAL_MS and a bounded buffer, whatever the other side does.
 * There are only so many at a time; units that want one wait for their turn.
 *
 * Connections come from any port: replies need no rule of a firewall here.
 */
#ifndef SM_NOTIFY_TCP_H
#define SM_NOTIFY_TCP_H

#include "addr.h"
#include "plan.h"
#include "reactor.h"
#include "rpc.h"
#include "self.h"
#include "turns.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	TCP_MAX = 1024,            /* conversations at a time; fewer if descriptors are scarce */
	TCP_CONNECT_MS = 4 * 1000, /* time for two more attempts of the kernel's */
	TCP_TOTAL_MS = 10 * 1000,
};

/* What to say to whom. */
struct tcp_order {
	struct plan_step step; /* for the caller, with name */
	uint8_t name;
	struct addr to;
	uint16_t port;
	uint32_t xid;
	size_t len; /* of the call */
	uint8_t call[RPC_CALL_MAX];
};

struct tcp_end {
	uint32_t unit;
	struct plan_step step;
	uint8_t name;
	enum plan_fault fault;         /* if there is no */
	const struct rpc_reply *reply; /* valid during the call */
};

struct tcp_handler {
	/* UNIT's turn: its next order; false: it has none any more. */
	bool (*begin)(void *arg, uint32_t unit, struct tcp_order *ret);
	/* Once for each order, never from inside of tcp_want(). */
	void (*end)(void *arg, const struct tcp_end *end);
	void *arg;
};

struct tcp_call;

struct tcp {
	struct reactor *reactor;
	const struct self *self;
	struct tcp_handler handler;
	struct turns turns;
	struct tcp_call *calls; /* a list */
	uint32_t count, limit;
	uint64_t total; /* conversations so far */
	struct reactor_task pump;
};

/* For units 0 to UNITS - 1. H is copied. 0 or -ENOMEM. */
int tcp_init(struct tcp *t, struct reactor *r, const struct self *self, uint32_t units,
	const struct tcp_handler *h);
void tcp_done(struct tcp *t);

/* UNIT has one order or more. */
void tcp_want(struct tcp *t, uint32_t unit);
/* Ends its conversations without a word. */
void tcp_forget(struct tcp *t, uint32_t unit);

#endif
