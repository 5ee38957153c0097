/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a layer does with its file and map, for ranges that layer_prepare() has made ready. Nothing
 * here looks at claims. The layer's file is as long as the export, so its holes read as zeros: a
 * trimmed or zeroed block is a present one that is a hole.
 */
#include "file.h"
#include "layer_inner.h"
#include "nbd.h"
#include "util.h"

#include <string.h>

/* The run of present or absent blocks that begins at OFFSET, in bytes, at most LENGTH. */
static uint64_t run_at(const struct layer *l, uint64_t offset, uint64_t length, bool *ret_present)
{
	uint64_t first = offset / l->map.block, last = (offset + length - 1) / l->map.block;
	uint64_t count = bitmap_run(&l->map.present, first, last - first + 1, ret_present);

	return MIN_OF(layer_offset(l, first + count) - offset, length);
}

static size_t map_absent(
	const struct layer *l, uint64_t offset, uint64_t length, struct piece *pieces, size_t max)
{
	if (l->base)
		return l->base->ops->map(l->base, false, offset, length, pieces, max);
	pieces[0] = (struct piece){.kind = PIECE_ABSENT, .fd = -1, .length = length};
	return 1;
}

size_t layer_map(struct storage *st, bool for_write, uint64_t offset, uint64_t length,
	struct piece *pieces, size_t max)
{
	struct layer *l = layer_of(st);
	uint64_t end = offset + length;
	size_t n = 0;

	if (for_write)
		return l->top->ops->map(l->top, true, offset, length, pieces, max);
	while (offset < end && n < max) {
		bool present;
		uint64_t part = run_at(l, offset, end - offset, &present);
		size_t more = present
			? l->top->ops->map(l->top, false, offset, part, pieces + n, max - n)
			: map_absent(l, offset, part, pieces + n, max - n);

		for (size_t i = 0; i < more; i++)
			offset += pieces[n + i].length;
		n += more;
	}
	return n;
}

bool layer_vouched(struct storage *st, uint64_t offset, uint64_t length)
{
	struct layer *l = layer_of(st);
	uint64_t first = offset / l->map.block, last = (offset + length - 1) / l->map.block;

	return !l->map.persistent || blockmap_proven(&l->map, first, last - first + 1);
}

/* A layer that vanishes with us needs to survive nothing. */
int layer_flush(struct storage *st)
{
	struct layer *l = layer_of(st);

	return l->map.persistent ? blockmap_flush(&l->map) : 0;
}

int layer_cache(struct storage *st, uint64_t offset, uint64_t length)
{
	struct layer *l = layer_of(st);
	bool present;
	uint64_t part = run_at(l, offset, length, &present);

	if (!present && l->base)
		return l->base->ops->cache(l->base, offset, part);
	return l->top->ops->cache(l->top, offset, part);
}

static int remember(struct layer *l, uint64_t offset, uint64_t length)
{
	uint64_t first = offset / l->map.block, last = (offset + length - 1) / l->map.block;

	blockmap_wrote(&l->map, first, last - first + 1);
	return blockmap_set(&l->map, first, last - first + 1);
}

int layer_zero(struct storage *st, uint64_t offset, uint64_t length, unsigned flags)
{
	struct layer *l = layer_of(st);
	int ret = l->top->ops->zero(l->top, offset, length, flags);

	return ret < 0 ? ret : remember(l, offset, length);
}

/* The part without absent blocks that are not covered whole: these stay what they are. */
static void cut_edges(const struct layer *l, uint64_t *offset, uint64_t *end)
{
	uint64_t first = *offset / l->map.block, last = (*end - 1) / l->map.block;

	if (layer_offset(l, first) < *offset && !bitmap_test(&l->map.present, first))
		*offset = MIN_OF(layer_offset(l, first + 1), *end);
	if (*offset < *end && layer_offset(l, last + 1) > *end &&
		!bitmap_test(&l->map.present, last))
		*end = MAX_OF(layer_offset(l, last), *offset);
}

/* What was trimmed must not show what is below, nor what an unfinished write left in the file. */
int layer_discard(struct storage *st, uint64_t offset, uint64_t length)
{
	struct layer *l = layer_of(st);
	uint64_t end = offset + length;

	cut_edges(l, &offset, &end);
	return offset < end ? layer_zero(st, offset, end - offset, 0) : 0;
}

static int extents_absent(
	struct layer *l, uint64_t offset, uint64_t length, struct extent *out, size_t max)
{
	if (l->base)
		return l->base->ops->extents(l->base, offset, length, out, max);
	out[0] = (struct extent){length, 0};
	return 1;
}

/* Appends the MORE runs at out + n, the first one to its neighbour if it is of the same state. */
static size_t join(struct extent *out, size_t n, size_t more)
{
	if (n == 0 || more == 0 || out[n - 1].state != out[n].state)
		return n + more;
	out[n - 1].length += out[n].length;
	memmove(out + n, out + n + 1, (more - 1) * sizeof(*out));
	return n + more - 1;
}

int layer_extents(
	struct storage *st, uint64_t offset, uint64_t length, struct extent *out, size_t max)
{
	struct layer *l = layer_of(st);
	uint64_t end = offset + length;
	size_t n = 0;

	while (offset < end && n < max) {
		bool present;
		uint64_t part = run_at(l, offset, end - offset, &present);
		int more = present ? l->top->ops->extents(l->top, offset, part, out + n, max - n)
				   : extents_absent(l, offset, part, out + n, max - n);

		if (more < 0)
			return more;
		for (int i = 0; i < more; i++)
			offset += out[n + (size_t)i].length;
		n = join(out, n, (size_t)more);
	}
	return (int)n;
}

int layer_own_fd(struct storage *st)
{
	return file_of(layer_of(st)->top)->fd;
}
