/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Contents that tell where they belong: each sector begins with its own offset, mixed with a seed.
 */
#ifndef BENCH_STAMP_H
#define BENCH_STAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STAMP_SECTOR = 512 };

/* LEN bytes at P belong to OFFSET of the export; both are multiples of a sector. */
void stamp_fill(uint8_t *p, size_t len, uint64_t offset, uint64_t seed);

/*
 * How many sectors that begin inside these bytes carry another stamp. Zeros, that is sectors never
 * written, are good unless FILLED. The piece may begin and end anywhere.
 */
uint64_t stamp_faults(const uint8_t *p, size_t len, uint64_t offset, uint64_t seed, bool filled);

#endif
