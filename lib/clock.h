/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Monotonic time (CLOCK_MONOTONIC). Wall clock time appears in log lines only. */
#ifndef LIB_CLOCK_H
#define LIB_CLOCK_H

#include <stdint.h>

/* Milliseconds since some fixed point; never goes back. */
uint64_t clock_ms(void);

/* The same in nanoseconds, never moved by tests: for measuring, not for deciding what is due. */
uint64_t clock_ns(void);
/* What clock_ms() said when clock_ns() was NS. */
uint64_t clock_ms_at(uint64_t ns);

/* Tests: from now on clock_ms() returns MS; UINT64_MAX gives the real clock back. */
void clock_set_for_test(uint64_t ms);

#endif
