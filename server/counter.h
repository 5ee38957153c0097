/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers that one thread writes and any thread may read: plain loads and stores, no locked
 * instruction. A reader sees each of them whole, but not all of them at the same moment.
 */
#ifndef SERVER_COUNTER_H
#define SERVER_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

static inline uint64_t counter_get(const _Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

/* By its one writer. */
static inline void counter_set(_Atomic uint64_t *c, uint64_t n)
{
	atomic_store_explicit(c, n, memory_order_relaxed);
}

static inline void counter_add(_Atomic uint64_t *c, uint64_t n)
{
	counter_set(c, counter_get(c) + n);
}

/* Becomes N if it is less. */
static inline void counter_raise(_Atomic uint64_t *c, uint64_t n)
{
	if (counter_get(c) < n)
		counter_set(c, n);
}

#endif
