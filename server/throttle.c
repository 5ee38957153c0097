/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bucket as a time, `next`: now minus THROTTLE_BURST_NS = full, later than now = so much is
 * promised already. It never lies further back than that.
 */
#include "throttle.h"

#include "util.h"

static const uint64_t SECOND = 1000000000;

void throttle_set(struct throttle *t, enum throttle_kind kind, uint64_t rate)
{
	atomic_store(&t->rate[kind], rate);
	atomic_store(&t->next[kind], 0);
}

uint64_t throttle_rate(const struct throttle *t, enum throttle_kind kind)
{
	return atomic_load_explicit(&t->rate[kind], memory_order_relaxed);
}

bool throttle_is_on(const struct throttle *t)
{
	return throttle_rate(t, THROTTLE_REQUESTS) || throttle_rate(t, THROTTLE_BYTES);
}

/* Rounded up: never more than the limit. COUNT is 1 or at most a slice, so nothing wraps. */
static uint64_t cost(uint64_t count, uint64_t rate)
{
	return (count * SECOND + rate - 1) / rate;
}

uint64_t throttle_take(struct throttle *t, enum throttle_kind kind, uint64_t count, uint64_t now)
{
	uint64_t full = now - MIN_OF(now, (uint64_t)THROTTLE_BURST_NS);
	uint64_t rate = throttle_rate(t, kind), next = atomic_load(&t->next[kind]), at;

	if (rate == 0 || count == 0)
		return 0;
	do
		at = MAX_OF(next, full);
	while (!atomic_compare_exchange_weak(&t->next[kind], &next, at + cost(count, rate)));
	return at;
}

uint64_t throttle_slice(const struct throttle *t)
{
	uint64_t rate = throttle_rate(t, THROTTLE_BYTES);

	return MAX_OF(rate / (SECOND / THROTTLE_SLICE_NS), (uint64_t)THROTTLE_SLICE_BYTES);
}
