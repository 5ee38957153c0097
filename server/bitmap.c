/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bitmaps in anonymous memory; see bitmap.h. Words are kept little-endian, so that their memory is
 * what files hold. Setting releases and looking acquires: who sees a bit sees what it stands for.
 * Words are written only if they change, so that setting what is set costs a look.
 */
#include "bitmap.h"

#include "util.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { WORD_BITS = 64, WORD_BYTES = 8 };

static const uint64_t ALL_BITS = UINT64_MAX;

static size_t memory_of(const struct bitmap *b)
{
	return round_up(MAX_OF(b->bytes, (size_t)1), (size_t)sysconf(_SC_PAGESIZE));
}

int bitmap_init(struct bitmap *b, uint64_t bits)
{
	uint64_t bytes = (bits / WORD_BITS + (bits % WORD_BITS != 0)) * WORD_BYTES;
	void *p;

	*b = (struct bitmap){.bits = bits, .bytes = (size_t)bytes};
	if (bytes > SIZE_MAX / 2)
		return -ENOMEM;
	p = mmap(NULL, memory_of(b), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return -ENOMEM;
	/* A bit here and there must not take 2 MiB each. */
	madvise(p, memory_of(b), MADV_NOHUGEPAGE);
	b->words = p;
	return 0;
}

void bitmap_done(struct bitmap *b)
{
	if (b->words)
		munmap(b->words, memory_of(b));
	b->words = NULL;
}

static uint64_t load(const struct bitmap *b, uint64_t word)
{
	return le64toh(atomic_load_explicit(&b->words[word], memory_order_acquire));
}

/* Returns those of MASK that were not set before. */
static uint64_t set_in_word(struct bitmap *b, uint64_t word, uint64_t mask)
{
	uint64_t old = load(b, word);

	if ((old & mask) != mask)
		old = le64toh(atomic_fetch_or_explicit(
			&b->words[word], htole64(mask), memory_order_acq_rel));
	return mask & ~old;
}

struct part {
	uint64_t word;
	uint64_t mask;
};

/* The part of a range that lies in its first word, taken off. */
static struct part take_part(uint64_t *first, uint64_t *count)
{
	uint64_t bit = *first % WORD_BITS, n = MIN_OF(WORD_BITS - bit, *count);
	struct part part = {*first / WORD_BITS, ALL_BITS >> (WORD_BITS - n) << bit};

	*first += n;
	*count -= n;
	return part;
}

static unsigned ones(uint64_t word)
{
	return word ? (unsigned)__builtin_popcountll(word) : 0;
}

uint64_t bitmap_set(struct bitmap *b, uint64_t first, uint64_t count)
{
	uint64_t added = 0;

	while (count > 0) {
		struct part p = take_part(&first, &count);

		added += ones(set_in_word(b, p.word, p.mask));
	}
	return added;
}

void bitmap_clear(struct bitmap *b, uint64_t first, uint64_t count)
{
	while (count > 0) {
		struct part p = take_part(&first, &count);

		if (load(b, p.word) & p.mask)
			atomic_fetch_and_explicit(
				&b->words[p.word], htole64(~p.mask), memory_order_acq_rel);
	}
}

bool bitmap_test(const struct bitmap *b, uint64_t bit)
{
	return load(b, bit / WORD_BITS) >> bit % WORD_BITS & 1;
}

/* The first bit in [first, end) that has VALUE; `end` if none. */
static uint64_t find(const struct bitmap *b, uint64_t first, uint64_t end, bool value)
{
	uint64_t flip = value ? 0 : ALL_BITS, word = first / WORD_BITS, found;

	if (first >= end)
		return end;
	found = (load(b, word) ^ flip) & ALL_BITS << first % WORD_BITS;
	while (!found && word < (end - 1) / WORD_BITS)
		found = load(b, ++word) ^ flip;
	if (!found)
		return end;
	return MIN_OF(word * WORD_BITS + (unsigned)__builtin_ctzll(found), end);
}

bool bitmap_all(const struct bitmap *b, uint64_t first, uint64_t count)
{
	return find(b, first, first + count, false) == first + count;
}

uint64_t bitmap_run(const struct bitmap *b, uint64_t first, uint64_t count, bool *ret)
{
	bool value = bitmap_test(b, first);

	*ret = value;
	/* The first bit is not looked at again: it may change, but a run is never empty. */
	return find(b, first + 1, first + count, !value) - first;
}

uint64_t bitmap_find(const struct bitmap *b, uint64_t first, bool value)
{
	return find(b, first, b->bits, value);
}

uint64_t bitmap_count(const struct bitmap *b)
{
	uint64_t n = 0;

	for (size_t word = 0; word < b->bytes / WORD_BYTES; word++)
		n += ones(load(b, word));
	return n;
}

static uint64_t mask_of(const struct bitmap *b, uint64_t word)
{
	uint64_t left = b->bits - word * WORD_BITS;

	return left < WORD_BITS ? ALL_BITS >> (WORD_BITS - left) : ALL_BITS;
}

uint64_t bitmap_add(struct bitmap *b, size_t offset, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	uint64_t word = offset / WORD_BYTES, added = 0;

	for (size_t n; len > 0; len -= n, p += n, word++) {
		uint64_t raw = 0;

		n = MIN_OF(len, (size_t)WORD_BYTES);
		memcpy(&raw, p, n);
		raw = le64toh(raw) & mask_of(b, word);
		if (raw)
			added += ones(set_in_word(b, word, raw));
	}
	return added;
}

void bitmap_save(const struct bitmap *b, size_t offset, void *bytes, size_t len)
{
	uint8_t *p = bytes;

	for (size_t i = 0; i < len; i += WORD_BYTES) {
		uint64_t raw = htole64(load(b, (offset + i) / WORD_BYTES));

		memcpy(p + i, &raw, WORD_BYTES);
	}
}
