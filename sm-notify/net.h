/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UDP sockets, one for IPv4 and one for IPv6, and the rate at which they are used.
 *
 * net_open() binds them while we may still use reserved ports; net_start() gives them to a reactor.
 * What is sent is collected and leaves at the end of the turn, many datagrams with one call; what
 * has arrived is all taken before anything else is done. Each datagram sent may bring one back, so
 * net_allowance() says how many more may be sent now without losing a reply for lack of room in
 * the socket: as many as fit, less what was sent in the last NET_SLOT_MS and not answered.
 */
#ifndef SM_NOTIFY_NET_H
#define SM_NOTIFY_NET_H

#include "addr.h"
#include "err.h"
#include "reactor.h"
#include "rpc.h"
#include "self.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NET_BATCH = 32, NET_SLOT_MS = 25, NET_V4 = 0, NET_V6 = 1 };

struct net_packet {
	struct addr to;
	uint16_t port;
	uint16_t len;
	uint8_t bytes[RPC_CALL_MAX];
};

/* A datagram that came to nothing: told by the network (ICMP), or refused by the kernel. */
struct net_failure {
	struct addr to;
	uint16_t port;
	uint32_t xid;
	int code; /* errno */
};

struct net;
struct net_handler {
	void (*reply)(void *arg, const struct addr *from, const uint8_t *bytes, size_t len);
	void (*failure)(void *arg, const struct net_failure *f);
	/* Something can be sent again after net_send() said no. */
	void (*room)(void *arg);
	void *arg;
};

struct net_counts {
	uint64_t sent, received;
	uint64_t dropped; /* replies the sockets had no room for */
};

struct net_socket {
	struct net *net;
	int fd; /* -1 = none of this family */
	struct reactor_watch watch;
	struct net_packet out[NET_BATCH];
	size_t outs;
	bool full;                /* the kernel takes no more for now */
	unsigned waits;           /* for something below to have room, in vain so far */
	uint64_t impatient_until; /* ms */
};

struct net {
	struct net_socket socket[2]; /* NET_V4, NET_V6 */
	uint32_t window;             /* replies that fit into the sockets */
	uint32_t in_air;             /* sent in this slot, less the replies received */
	uint64_t slot;               /* ms, its start */
	struct reactor *reactor;     /* NULL until net_start() */
	struct reactor_task flush;
	struct reactor_timer retry;
	struct net_handler handler;
	struct net_failure failures[NET_BATCH]; /* to be told at the end of the turn */
	size_t failure_count;
	uint8_t in[NET_BATCH][RPC_REPLY_MAX];
	struct net_counts counts;
};

/*
 * Sockets of both families that this host has and SELF has addresses of, bound to PORT: 0 = any
 * reserved one, and if we may not have one or all are taken, any (logged). -errno if there is none,
 * if SELF's addresses are not this host's, or PORT is taken.
 */
int net_open(struct net *n, const struct self *self, uint16_t port, struct err *err);
void net_done(struct net *n);

/* H is copied. 0 or -errno. */
int net_start(struct net *n, struct reactor *r, const struct net_handler *h);

static inline bool net_has(const struct net *n, bool v6)
{
	return n->socket[v6 ? NET_V6 : NET_V4].fd >= 0;
}

/* How many datagrams may be sent now; 0: wait until the next slot, or for a reply. */
uint32_t net_allowance(struct net *n);

/* False: no socket of this family, or no room; then it counts as lost. */
bool net_send(
	struct net *n, const struct addr *to, uint16_t port, const uint8_t *bytes, size_t len);

struct net_counts net_counts(const struct net *n);

#endif
