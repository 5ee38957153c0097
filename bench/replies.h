/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Takes a stream of NBD replies apart, simple ones and structured ones in any mixture, in pieces as
 * they come from the socket. Pure: bytes in, events out, nothing is copied but headers.
 */
#ifndef BENCH_REPLIES_H
#define BENCH_REPLIES_H

#include "nbd.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum replies_event {
	REPLIES_MORE,   /* all bytes are used up */
	REPLIES_SIMPLE, /* a simple reply without error: say replies_expect() before going on */
	REPLIES_DATA,   /* `len` bytes at `data` belong to `offset` of the export */
	REPLIES_HOLE,   /* `len` bytes from `offset` on are zeros */
	REPLIES_ERROR,  /* the request has failed; DONE is still to come */
	REPLIES_DONE,   /* the request is answered */
	REPLIES_BROKEN, /* not the NBD protocol */
};

struct replies {
	/* what the last event is about */
	uint64_t cookie, offset;
	const uint8_t *data;
	size_t len;
	/* for replies.c */
	uint8_t head[NBD_CHUNK_BYTES + 12];
	size_t have, need; /* bytes of the header there and wanted */
	uint64_t left;     /* bytes of data still to come, */
	uint64_t skip;     /* or of an error text */
	bool last;         /* the request is done behind this chunk */
	bool ending;       /* next event: DONE */
};

void replies_init(struct replies *r);

/* The next event in the *LEN bytes at *P, which move on past what was used. */
enum replies_event replies_next(struct replies *r, const uint8_t **p, size_t *len);

/* Behind REPLIES_SIMPLE: LENGTH bytes follow, that belong to OFFSET (a write: none). */
void replies_expect(struct replies *r, uint64_t offset, uint64_t length);

#endif
