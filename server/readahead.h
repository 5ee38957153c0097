/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What to fetch ahead of sequential readers. Pure but for the marks, which any thread may look at;
 * the caller's lock guards the rest.
 *
 * Reads that miss begin or continue a stream; a stream that goes on gets a window ahead of it,
 * twice as long each time. Half-way through the window there is a mark: a read that finds its data
 * present and passes the mark asks for the next window, so that a reader who is slower than the
 * origin never waits.
 */
#ifndef SERVER_READAHEAD_H
#define SERVER_READAHEAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	READAHEAD_STREAMS = 16,
	READAHEAD_MARKS = 64,
	READAHEAD_REGION = 64 * 1024, /* bytes a mark stands for */
	READAHEAD_MIN = 128 * 1024,
	READAHEAD_MAX = 8 * 1024 * 1024,
};

struct readahead {
	struct readahead_stream {
		uint64_t next;   /* byte behind its last read */
		uint64_t ahead;  /* byte behind what was asked for */
		uint64_t window; /* bytes; 0 = none yet */
	} streams[READAHEAD_STREAMS];
	unsigned turn;                           /* the stream to be given up next */
	_Atomic uint64_t marks[READAHEAD_MARKS]; /* region + 1; 0 = none */
};

/* Does this read pass a mark? It is taken away then. Any thread, no lock. */
bool readahead_passes(struct readahead *ra, uint64_t offset, uint64_t length);

/*
 * A read that missed or passed a mark: true if [*ret_from, *ret_end) should be fetched, within an
 * export of SIZE bytes.
 */
bool readahead_note(struct readahead *ra, uint64_t offset, uint64_t length, uint64_t size,
	uint64_t *ret_from, uint64_t *ret_end);

#endif
