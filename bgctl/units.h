/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers for people. Everything is rounded down, so that nothing looks complete before it is.
 * Pure.
 */
#ifndef BGCTL_UNITS_H
#define BGCTL_UNITS_H

#include <stdint.h>

enum { UNITS_MAX = 32 };

/* "512 B", "4.0 KiB", "10.3 GiB". */
void units_size(char out[UNITS_MAX], uint64_t bytes);

/* "45 s", "12 min 05 s", "3 h 07 min", "2 d 4 h". */
void units_time(char out[UNITS_MAX], uint64_t seconds);

/* Thousandths of WHOLE; 1000 only if PART is all of it (all of nothing is all). */
unsigned units_share(uint64_t part, uint64_t whole);

/* "42.3 %" of a share. */
void units_percent(char out[UNITS_MAX], unsigned share);

#endif
