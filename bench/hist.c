/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See hist.h. Bucket = power of two, then the four bits below the leading one. */
#include "hist.h"

static unsigned bucket_of(uint64_t ns)
{
	unsigned power;

	if (ns < HIST_STEPS)
		return (unsigned)ns;
	power = 63 - (unsigned)__builtin_clzll(ns);
	return (power - 3) * HIST_STEPS + (unsigned)(ns >> (power - 4)) % HIST_STEPS;
}

static uint64_t value_of(unsigned bucket)
{
	unsigned power = bucket / HIST_STEPS + 3;

	if (bucket < HIST_STEPS)
		return bucket;
	return (uint64_t)(HIST_STEPS + bucket % HIST_STEPS) << (power - 4);
}

void hist_add(struct hist *h, uint64_t ns)
{
	h->count[bucket_of(ns)]++;
	h->total++;
}

void hist_merge(struct hist *into, const struct hist *from)
{
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		into->count[i] += from->count[i];
	into->total += from->total;
}

uint64_t hist_at(const struct hist *h, unsigned permille)
{
	uint64_t want = h->total * permille / 1000, seen = 0;

	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += h->count[i];
		if (seen > want || (seen == h->total && seen > 0))
			return value_of(i);
	}
	return 0;
}
