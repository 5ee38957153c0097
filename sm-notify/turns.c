/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A set of numbers as bits, and a place that moves through it. */
#include "turns.h"

#include <errno.h>
#include <stdlib.h>

int turns_init(struct turns *t, uint32_t units)
{
	*t = (struct turns){.units = units};
	t->bits = calloc((size_t)units / 64 + 1, sizeof(*t->bits));
	return t->bits ? 0 : -ENOMEM;
}

void turns_done(struct turns *t)
{
	free(t->bits);
	*t = (struct turns){0};
}

static bool has(const struct turns *t, uint32_t unit)
{
	return t->bits[unit / 64] >> unit % 64 & 1;
}

void turns_add(struct turns *t, uint32_t unit)
{
	if (has(t, unit))
		return;
	t->bits[unit / 64] |= 1ULL << unit % 64;
	t->count++;
}

void turns_remove(struct turns *t, uint32_t unit)
{
	if (!has(t, unit))
		return;
	t->bits[unit / 64] &= ~(1ULL << unit % 64);
	t->count--;
}

/* The first one from number FROM on, UINT32_MAX if there is none. */
static uint32_t find(const struct turns *t, uint32_t from)
{
	uint32_t words = t->units / 64 + 1, word = from / 64;
	uint64_t bits = t->bits[word] & ~0ULL << from % 64;

	while (bits == 0 && ++word < words)
		bits = t->bits[word];
	return bits ? word * 64 + (uint32_t)__builtin_ctzll(bits) : UINT32_MAX;
}

bool turns_take(struct turns *t, uint32_t *ret_unit)
{
	uint32_t unit;

	if (t->count == 0)
		return false;
	unit = find(t, t->next);
	if (unit == UINT32_MAX)
		unit = find(t, 0);
	turns_remove(t, unit);
	t->next = unit + 1 < t->units ? unit + 1 : 0;
	*ret_unit = unit;
	return true;
}
