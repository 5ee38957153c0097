/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sizes of snapshots; see snap_size.h. Pure. Sums stay far below 2^64, as a volume has at most 2^62
 * bytes here: percentages are taken of hundredths.
 */
#include "snap_size.h"

#include "str.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { ENTRY = 16, SMALLEST = 4 /* chunks: of the head, of entries, and a little data */ };

static int parse_percent(const char *text, size_t digits, uint64_t *ret)
{
	char number[8];

	if (digits >= sizeof(number))
		return -EINVAL;
	snprintf(number, sizeof(number), "%.*s", (int)digits, text);
	return str_number(number, 1, 1000, ret);
}

int snap_want_parse(const char *text, struct snap_want *ret, struct err *err)
{
	struct snap_want want = {0};
	size_t digits = strspn(text, "0123456789");
	int r;

	if (strcmp(text, "full") == 0) {
		want.full = true;
		r = 0;
	} else if (strcmp(text + digits, "%") == 0) {
		r = parse_percent(text, digits, &want.percent);
	} else if (!text[digits]) {
		r = str_number(text, 1, INT64_MAX >> 21, &want.bytes);
		want.bytes <<= 20;
	} else {
		r = str_size(text, 1, INT64_MAX / 2, &want.bytes);
	}
	if (r < 0)
		return err_set(err, EINVAL,
			"'%.60s': not a size of a snapshot (20%%, 5G, 500 for MiB, or full)", text);
	*ret = want;
	return 0;
}

uint64_t snap_size_full(uint64_t origin, uint64_t chunk)
{
	uint64_t chunks = (origin - 1) / chunk + 1, entries = chunk / ENTRY;
	uint64_t areas = chunks / entries + 1; /* the entry that ends them needs a place, too */

	return (1 + areas + chunks) * chunk;
}

/* The smallest chunk by which ROOM has not too many entries. */
static uint64_t choose_chunk(uint64_t room, const struct toolsconf *conf)
{
	uint64_t chunk = SNAP_CHUNK_USUAL;

	if (conf->chunk > 0)
		return conf->chunk;
	while (chunk < SNAP_CHUNK_MAX && room / chunk > SNAP_ENTRIES)
		chunk *= 2;
	return chunk;
}

/* PERCENT is at most 1000. */
static uint64_t part_of(uint64_t origin, uint64_t percent)
{
	if (percent >= 100 && origin > (1ULL << 58))
		return origin;
	return origin / 100 * percent + origin % 100 * percent / 100;
}

static uint64_t wanted_bytes(
	const struct snap_want *want, uint64_t origin, const struct toolsconf *conf)
{
	if (want->full)
		return origin;
	if (want->bytes > 0)
		return want->bytes;
	if (want->percent > 0)
		return part_of(origin, want->percent);
	return part_of(origin, origin < SNAP_SIZE_XL ? conf->space_sm : conf->space_xl);
}

struct snap_size snap_size_choose(const struct snap_want *want, uint64_t origin, uint64_t extent,
	const struct toolsconf *conf)
{
	uint64_t bytes = wanted_bytes(want, origin, conf), full;
	struct snap_size ret = {.chunk = choose_chunk(MIN_OF(bytes, origin), conf)};

	full = snap_size_full(origin, ret.chunk);
	bytes = MAX_OF(bytes, SMALLEST * ret.chunk);
	ret.is_full = want->full || bytes >= full;
	ret.bytes = round_up(ret.is_full ? full : bytes, extent);
	ret.is_full = ret.bytes >= full;
	return ret;
}
