/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Latency histogram: 16 steps for each power of two nanoseconds, so about 6 % exact. */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

enum { HIST_STEPS = 16, HIST_BUCKETS = 64 * HIST_STEPS };

struct hist {
	uint64_t count[HIST_BUCKETS];
	uint64_t total;
};

void hist_add(struct hist *h, uint64_t ns);
void hist_merge(struct hist *into, const struct hist *from);
/* The latency below which PERMILLE of 1000 requests lie, in nanoseconds. */
uint64_t hist_at(const struct hist *h, unsigned permille);

#endif
