/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Many short texts in one piece of memory, each distinct one once. A text is its offset: 4 bytes,
 * the same for equal texts, valid until strtab_done(). Offset 0 is the empty text.
 */
#ifndef SM_NOTIFY_STRTAB_H
#define SM_NOTIFY_STRTAB_H

#include <stddef.h>
#include <stdint.h>

struct strtab {
	char *bytes;
	uint32_t used, room, limit; /* bytes; limit at most 2^31 - 1 */
	uint32_t *slots;            /* hash table of offsets, 0 = free; NULL once sealed */
	uint32_t slot_count, count; /* slot_count: 0 or a power of 2 */
	uint32_t seed;              /* of the hash */
};

void strtab_init(struct strtab *t, uint32_t limit);
void strtab_done(struct strtab *t);

/* TEXT has no zero byte. 0, -ENOMEM, or -ENOSPC beyond the limit. */
int strtab_put(struct strtab *t, const char *text, size_t len, uint32_t *ret);

/* The offset of TEXT; 0 if it is not there (or empty, or the table sealed). */
uint32_t strtab_find(const struct strtab *t, const char *text, size_t len);

/* No more texts will come: gives the memory of the hash table back. */
void strtab_seal(struct strtab *t);

static inline const char *strtab_text(const struct strtab *t, uint32_t offset)
{
	return t->bytes + offset;
}

#endif
