/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Buckets by microseconds: values below LATENCY_STEPS have one each; above, a bucket is known by
 * the highest bit of a value and the LATENCY_STEP_BITS bits behind it (latency_bucket()). Called by
 * tally.c and worker_stats.c.
 */
#include "latency.h"

#include "util.h"

void latency_merge(struct latency *into, const struct latency *from)
{
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		counter_add(&into->buckets[i], counter_get(&from->buckets[i]));
	counter_raise(&into->max, counter_get(&from->max));
}

uint64_t latency_count(const struct latency *l)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		n += counter_get(&l->buckets[i]);
	return n;
}

uint64_t latency_upper(unsigned bucket)
{
	unsigned shift = bucket < LATENCY_STEPS ? 0 : bucket / LATENCY_STEPS - 1;

	return (uint64_t)(bucket - shift * LATENCY_STEPS + 1) << shift;
}

/* How many of COUNT are SHARE of them: at least one. */
static uint64_t part_of(uint64_t count, unsigned share)
{
	uint64_t whole = count / LATENCY_ALL, rest = count % LATENCY_ALL;
	uint64_t part = whole * share + (rest * share + LATENCY_ALL - 1) / LATENCY_ALL;

	return MAX_OF(part, (uint64_t)1);
}

/* At most so long did what is in BUCKET take. */
static uint64_t longest_in(unsigned bucket, uint64_t max)
{
	return bucket == LATENCY_BUCKETS - 1 ? max : MIN_OF(latency_upper(bucket), max);
}

/* More may be added meanwhile: then there is more in the end than was counted first, never less. */
void latency_quantiles(
	const struct latency *l, const unsigned *shares, unsigned count, uint64_t *ret)
{
	uint64_t all = latency_count(l), max = counter_get(&l->max), seen = 0;
	unsigned next = 0; /* bucket */

	for (unsigned i = 0; i < count; i++) {
		uint64_t want = all ? part_of(all, shares[i]) : 0;

		while (seen < want && next < LATENCY_BUCKETS)
			seen += counter_get(&l->buckets[next++]);
		ret[i] = next ? longest_in(next - 1, max) : 0;
	}
}
