/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A set of block numbers that several threads look at and add to. Bits are set, hardly ever
 * cleared; every operation is atomic word by word, a range as a whole is not. What a thread did
 * before it set a bit is seen by every thread that has seen the bit.
 *
 * In memory and in files: bit I is bit I % 64 of the little-endian 64-bit word I / 64, so bytes
 * are filled from their lowest bit on (the order of the original's cache bitmap).
 */
#ifndef SERVER_BITMAP_H
#define SERVER_BITMAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bitmap {
	_Atomic uint64_t *words; /* page-aligned, whole pages */
	uint64_t bits;           /* how many there are */
	size_t bytes;            /* of the words, a multiple of 8: as long as in a file, without the
				  * rest of the last page; bits behind `bits` are 0 */
};

/* All zero; memory is taken as bits are set (2^32 bits cost nothing yet). 0 or -ENOMEM, and then
 * bitmap_done() is harmless, as it is for a struct of zeros and a second time. */
int bitmap_init(struct bitmap *b, uint64_t bits);
void bitmap_done(struct bitmap *b);

/* Ranges must be inside [0, bits). Sets them; returns how many were not set before. */
uint64_t bitmap_set(struct bitmap *b, uint64_t first, uint64_t count);
void bitmap_clear(struct bitmap *b, uint64_t first, uint64_t count);

bool bitmap_test(const struct bitmap *b, uint64_t bit);
/* Are all of them set? True for an empty range. */
bool bitmap_all(const struct bitmap *b, uint64_t first, uint64_t count);
/* Length of the run of equal bits that begins at FIRST, at most COUNT (> 0); their value in *ret.
 */
uint64_t bitmap_run(const struct bitmap *b, uint64_t first, uint64_t count, bool *ret);
/* The first bit in [first, bits) that has VALUE; `bits` if none. */
uint64_t bitmap_find(const struct bitmap *b, uint64_t first, bool value);
uint64_t bitmap_count(const struct bitmap *b);

/*
 * The form in files, from byte OFFSET on, a multiple of 8. Adding drops bits behind `bits`, LEN may
 * be anything up to the end; returns how many were not set before. Saving: LEN is a multiple of 8.
 */
uint64_t bitmap_add(struct bitmap *b, size_t offset, const void *bytes, size_t len);
void bitmap_save(const struct bitmap *b, size_t offset, void *bytes, size_t len);

#endif
