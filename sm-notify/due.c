/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A binary heap of unit numbers; slot k (from 1) has its children at 2k and 2k + 1. Each unit knows
 * its slot, so it can be moved and taken out.
 */
#include "due.h"

#include <errno.h>
#include <stdlib.h>

int due_init(struct due *d, uint32_t units)
{
	size_t n = units ? units : 1;

	d->count = 0;
	d->at = calloc(n, sizeof(*d->at));
	d->slot = calloc(n, sizeof(*d->slot));
	d->heap = calloc(n, sizeof(*d->heap));
	if (d->at && d->slot && d->heap)
		return 0;
	due_done(d);
	return -ENOMEM;
}

void due_done(struct due *d)
{
	free(d->at);
	free(d->slot);
	free(d->heap);
	*d = (struct due){0};
}

static void put(struct due *d, uint32_t slot, uint32_t unit)
{
	d->heap[slot - 1] = unit;
	d->slot[unit] = slot;
}

static bool is_before(const struct due *d, uint32_t slot, uint32_t unit)
{
	return due_before(d->at[d->heap[slot - 1]], d->at[unit]);
}

static void up(struct due *d, uint32_t unit)
{
	uint32_t slot = d->slot[unit];

	for (; slot > 1 && due_before(d->at[unit], d->at[d->heap[slot / 2 - 1]]); slot /= 2)
		put(d, slot, d->heap[slot / 2 - 1]);
	put(d, slot, unit);
}

static void down(struct due *d, uint32_t unit)
{
	uint32_t slot = d->slot[unit];

	for (;;) {
		uint32_t child = 2 * slot;

		if (child < d->count && is_before(d, child + 1, d->heap[child - 1]))
			child++;
		if (child > d->count || !is_before(d, child, unit))
			break;
		put(d, slot, d->heap[child - 1]);
		slot = child;
	}
	put(d, slot, unit);
}

void due_set(struct due *d, uint32_t unit, uint32_t at)
{
	d->at[unit] = at;
	if (!d->slot[unit])
		put(d, ++d->count, unit);
	up(d, unit);
	down(d, unit);
}

void due_clear(struct due *d, uint32_t unit)
{
	uint32_t slot = d->slot[unit], last;

	if (!slot)
		return;
	d->slot[unit] = 0;
	last = d->heap[--d->count];
	if (last == unit)
		return;
	put(d, slot, last);
	up(d, last);
	down(d, last);
}

bool due_first(const struct due *d, uint32_t *ret_unit, uint32_t *ret_at)
{
	if (d->count == 0)
		return false;
	*ret_unit = d->heap[0];
	*ret_at = d->at[d->heap[0]];
	return true;
}
