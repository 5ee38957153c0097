/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A limit of so many requests and so many bytes a second, for all connections of an export. Pure
 * but for its atomics: any thread may call, none waits; the time comes from the caller.
 *
 * It is a token bucket told as a time: whoever wants something is given the moment from which it
 * may have it, and the next one a later moment. So connections that want more than there is are
 * served in turn, whichever thread they are in, as long as each asks for its next share only when
 * it has had the last one. What was not used in the last tenth of a second may be used at once.
 */
#ifndef SERVER_THROTTLE_H
#define SERVER_THROTTLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum throttle_kind { THROTTLE_REQUESTS, THROTTLE_BYTES, THROTTLE_KINDS };

enum {
	THROTTLE_BURST_NS = 100 * 1000 * 1000,
	THROTTLE_SLICE_NS = 1000 * 1000,
	THROTTLE_SLICE_BYTES = 16 * 1024,
};

static const uint64_t THROTTLE_REQUESTS_MAX = 1000 * 1000 * 1000;
static const uint64_t THROTTLE_BYTES_MAX = 1ULL << 40;

/* Zeroed: no limit. */
struct throttle {
	_Atomic uint64_t rate[THROTTLE_KINDS]; /* a second, 0 = no limit */
	_Atomic uint64_t next[THROTTLE_KINDS]; /* ns, the moment of who comes next */
};

/* RATE is at most THROTTLE_*_MAX. What was given for later does not count any more: who waits asks
 * again. */
void throttle_set(struct throttle *t, enum throttle_kind kind, uint64_t rate);
uint64_t throttle_rate(const struct throttle *t, enum throttle_kind kind);
/* Is there any limit? */
bool throttle_is_on(const struct throttle *t);

/* From when on (ns) COUNT of them may be had, which are taken herewith; 0 = at any time. */
uint64_t throttle_take(struct throttle *t, enum throttle_kind kind, uint64_t count, uint64_t now);

/* Bytes to ask for at a time, so that a long request does not make all others wait for it. */
uint64_t throttle_slice(const struct throttle *t);

#endif
