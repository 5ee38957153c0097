/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long things took, as a histogram: 8 steps for each power of two, so a value is known to an
 * eighth at worst, from 1 us to 67 s. One thread adds, any thread may look. Pure.
 *
 * A bucket has what took less than its upper end and not less than that of the one before; the
 * last one has everything longer, too.
 */
#ifndef SERVER_LATENCY_H
#define SERVER_LATENCY_H

#include "counter.h"

enum {
	LATENCY_STEP_BITS = 3,
	LATENCY_STEPS = 1 << LATENCY_STEP_BITS,
	LATENCY_POWERS = 26, /* 2^26 us: where the last bucket ends */
	LATENCY_BUCKETS = (LATENCY_POWERS - LATENCY_STEP_BITS + 1) * LATENCY_STEPS,
};

struct latency {
	_Atomic uint64_t buckets[LATENCY_BUCKETS];
	_Atomic uint64_t max; /* us, rounded up */
};

static inline unsigned latency_bucket(uint64_t us)
{
	unsigned shift;

	if (us < LATENCY_STEPS)
		return (unsigned)us;
	shift = 63 - LATENCY_STEP_BITS - (unsigned)__builtin_clzll(us);
	if (shift >= LATENCY_POWERS - LATENCY_STEP_BITS)
		return LATENCY_BUCKETS - 1;
	return shift * LATENCY_STEPS + (unsigned)(us >> shift);
}

/* In its one thread. */
static inline void latency_add(struct latency *l, uint64_t ns)
{
	uint64_t us = ns / 1000;

	counter_raise(&l->max, us + (ns > us * 1000));
	counter_add(&l->buckets[latency_bucket(us)], 1);
}

/* Adds all that FROM has; INTO is the caller's own. */
void latency_merge(struct latency *into, const struct latency *from);

/* How many were added. */
uint64_t latency_count(const struct latency *l);
/* Upper end of a bucket in us. */
uint64_t latency_upper(unsigned bucket);

enum { LATENCY_ALL = 100000 };
/*
 * For COUNT shares of LATENCY_ALL, in rising order: at most how many us that many of those added
 * took; 0 if nothing was. 50000 is the median. Never more than the longest took.
 */
void latency_quantiles(
	const struct latency *l, const unsigned *shares, unsigned count, uint64_t *ret);

#endif
