/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Texts one behind the other in one allocation, found again by an open hash table of offsets that
 * is at most half full. Realloc moves the bytes, so offsets are kept, never pointers. Hash: FNV-1a
 * with a random start, so that nobody can prepare names that all meet in one place.
 */
#include "strtab.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { FIRST_SLOTS = 1024, FIRST_ROOM = 4096 };

void strtab_init(struct strtab *t, uint32_t limit)
{
	*t = (struct strtab){.limit = limit};
	if (getrandom(&t->seed, sizeof(t->seed), GRND_NONBLOCK) < 0)
		t->seed = (uint32_t)(uintptr_t)t; /* the address is random too */
}

void strtab_done(struct strtab *t)
{
	free(t->bytes);
	free(t->slots);
	*t = (struct strtab){0};
}

void strtab_seal(struct strtab *t)
{
	free(t->slots);
	t->slots = NULL;
	t->slot_count = 0;
}

static uint32_t hash_of(const struct strtab *t, const char *text, size_t len)
{
	uint32_t h = 2166136261u ^ t->seed;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)text[i]) * 16777619u;
	return h ^ h >> 15;
}

/* The slot that has TEXT, or the free one where it belongs. */
static uint32_t *slot_of(const struct strtab *t, const char *text, size_t len)
{
	uint32_t mask = t->slot_count - 1;

	for (uint32_t i = hash_of(t, text, len);; i++) {
		uint32_t *slot = &t->slots[i & mask];

		if (*slot == 0 ||
			(strncmp(t->bytes + *slot, text, len) == 0 && t->bytes[*slot + len] == 0))
			return slot;
	}
}

static int grow_slots(struct strtab *t)
{
	uint32_t old_count = t->slot_count, *old = t->slots;
	uint32_t count = old_count ? old_count * 2 : FIRST_SLOTS, *slots;

	if (old && t->count < old_count / 2)
		return 0;
	slots = calloc(count, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	t->slots = slots;
	t->slot_count = count;
	for (uint32_t i = 0; i < old_count; i++) {
		const char *text = t->bytes + old[i];

		if (old[i])
			*slot_of(t, text, strlen(text)) = old[i];
	}
	free(old);
	return 0;
}

/* Room for NEED more bytes. */
static int grow_bytes(struct strtab *t, size_t need)
{
	uint64_t room = t->room ? t->room : FIRST_ROOM;
	char *bytes;

	if (need > t->limit || t->used > t->limit - need)
		return -ENOSPC;
	while (room < t->used + need)
		room += room / 2;
	if (room == t->room)
		return 0;
	bytes = realloc(t->bytes, room);
	if (!bytes)
		return -ENOMEM;
	t->bytes = bytes;
	t->room = (uint32_t)room;
	return 0;
}

int strtab_put(struct strtab *t, const char *text, size_t len, uint32_t *ret)
{
	uint32_t *slot;
	int r;

	if (t->used == 0) {
		r = grow_bytes(t, 1);
		if (r < 0)
			return r;
		t->bytes[t->used++] = 0;
	}
	if (len == 0) {
		*ret = 0;
		return 0;
	}
	r = grow_slots(t);
	if (r < 0)
		return r;
	slot = slot_of(t, text, len);
	if (*slot == 0) {
		r = grow_bytes(t, len + 1);
		if (r < 0)
			return r;
		memcpy(t->bytes + t->used, text, len);
		t->bytes[t->used + len] = 0;
		*slot = t->used;
		t->used += (uint32_t)len + 1;
		t->count++;
	}
	*ret = *slot;
	return 0;
}

uint32_t strtab_find(const struct strtab *t, const char *text, size_t len)
{
	return len > 0 && t->slots ? *slot_of(t, text, len) : 0;
}
