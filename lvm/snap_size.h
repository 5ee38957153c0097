/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How large a snapshot is made, and by what chunks it saves. Pure.
 *
 * The room of a snapshot holds a chunk that says what it is, then areas: a chunk of entries of 16
 * bytes, and a chunk of data for each entry. An entry of zeros ends them, so room for everything is
 * finite, and a snapshot that has it cannot overflow.
 */
#ifndef LVM_SNAP_SIZE_H
#define LVM_SNAP_SIZE_H

#include "err.h"
#include "toolsconf.h"

#include <stdbool.h>
#include <stdint.h>

#define SNAP_SIZE_XL (100ULL << 30) /* volumes from here on are large */

enum {
	SNAP_CHUNK_MIN = 4096,
	SNAP_CHUNK_USUAL = 64 * 1024,
	SNAP_CHUNK_MAX = 512 * 1024,
	/* What the kernel reads and allocates for on activation; about a second. */
	SNAP_ENTRIES = 256 * 1024,
};

/* What is asked for. All zero: by configuration. */
struct snap_want {
	uint64_t bytes;
	uint64_t percent; /* of the origin */
	bool full;        /* whatever happens, it must not overflow */
};

/* "20%", "5G", "500" (MiB, as for lvcreate) or "full". -EINVAL with a line. */
int snap_want_parse(const char *text, struct snap_want *ret, struct err *err);

struct snap_size {
	uint64_t bytes; /* whole extents */
	uint64_t chunk; /* bytes */
	bool is_full;   /* cannot overflow */
};

/* ORIGIN and EXTENT in bytes, both at least 1 and at most 2^62. */
struct snap_size snap_size_choose(const struct snap_want *want, uint64_t origin, uint64_t extent,
	const struct toolsconf *conf);

/* Bytes that are enough for every chunk of ORIGIN. */
uint64_t snap_size_full(uint64_t origin, uint64_t chunk);

#endif
