/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Chunks made by several threads and taken in order by one: reading, hashing and compressing run
 * beside each other and ahead of writing.
 *
 * Memory is bounded: a few buffers for each thread. The first error of either side ends all.
 */
#ifndef LVM_PIPELINE_H
#define LVM_PIPELINE_H

#include "codec.h"
#include "err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chunk {
	uint64_t index;
	size_t len;    /* bytes of the chunk */
	uint8_t *data; /* aligned for O_DIRECT */
	uint8_t *packed;
	size_t packed_len; /* 0 = not compressed */
	size_t room;       /* of `packed`; `data` has that of the largest chunk */
	bool zero;
	bool same; /* as the target has it: `data` may be anything */
	uint8_t hash[CODEC_HASH];
};

struct pipeline {
	uint64_t first, end; /* chunks */
	uint32_t chunk_size;
	unsigned threads;
	atomic_bool *stop; /* set by a signal: ends with -EINTR; NULL = none */
	/* Called by the threads at once, with index set. */
	int (*make)(void *owner, struct chunk *c, struct err *err);
	/* Called by the thread of pipeline_run(), in order. */
	int (*take)(void *owner, struct chunk *c, struct err *err);
	/* Called by the same while nothing is there to be taken, now and then; NULL = none. */
	int (*tick)(void *owner, struct err *err);
	/* Called by the same after an error: ends a make() that waits for long; NULL = none. */
	void (*cut)(void *owner);
	void *owner;
};

enum { PIPELINE_ALIGN = 4096, PIPELINE_THREADS_MAX = 16 };

int pipeline_run(const struct pipeline *p, struct err *err);

#endif
