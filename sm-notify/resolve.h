/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names to addresses, without anybody waiting: getaddrinfo(3) blocks, for ten seconds and more if a
 * name server is dead, so each lookup has a thread. There are as many threads as names to look up,
 * up to a limit; they end when there is nothing to do. Units wait for their turn in two queues:
 * those that have no address, and those that have one and only want to know better, which get a
 * few threads that the others cannot miss.
 *
 * A thread that hangs is never waited for: resolve_done() leaves it behind, and what it found is
 * thrown away.
 */
#ifndef SM_NOTIFY_RESOLVE_H
#define SM_NOTIFY_RESOLVE_H

#include "addr.h"
#include "reactor.h"
#include "turns.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	RESOLVE_ADDRS_MAX = 16,
	RESOLVE_URGENT_MAX = 192, /* at a time */
	RESOLVE_OTHERS_MAX = 8,
};

struct resolve_handler {
	/*
	 * UNIT's turn: the name to look up, and another one if that has no address (NULL = none);
	 * both are copied. False: it is not wanted any more.
	 */
	bool (*begin)(void *arg, uint32_t unit, const char **ret_name, const char **ret_other);
	/* COUNT 0: neither has an address. Never from inside of resolve_want(). */
	void (*end)(void *arg, uint32_t unit, const struct addr *addrs, size_t count);
	void *arg;
};

struct resolve_crew;

struct resolve {
	struct reactor *reactor;
	struct resolve_handler handler;
	struct turns urgent, others;
	unsigned urgent_busy, others_busy;
	uint64_t total; /* lookups so far */
	struct reactor_task pump;
	struct reactor_timer next;
	struct resolve_crew *crew; /* what the threads have, longer than we if need be */
};

/* For units 0 to UNITS - 1. H is copied. 0 or -ENOMEM. */
int resolve_init(
	struct resolve *s, struct reactor *r, uint32_t units, const struct resolve_handler *h);
/* No call of the handler follows. */
void resolve_done(struct resolve *s);

void resolve_want(struct resolve *s, uint32_t unit, bool urgent);

#endif
