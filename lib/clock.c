/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one place that asks the kernel for the time; tests can move it by hand. */
#include "clock.h"

#include <stdatomic.h>
#include <time.h>

static _Atomic uint64_t test_ms = UINT64_MAX;

uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t clock_ms_at(uint64_t ns)
{
	uint64_t fake = atomic_load_explicit(&test_ms, memory_order_relaxed);

	return fake != UINT64_MAX ? fake : ns / 1000000;
}

uint64_t clock_ms(void)
{
	return clock_ms_at(clock_ns());
}

void clock_set_for_test(uint64_t ms)
{
	atomic_store(&test_ms, ms);
}
