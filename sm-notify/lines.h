/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lines of a file in small pieces, whatever it holds: a line of RECORD_LINE_MAX bytes or more
 * comes as several pieces, none of them whole, so that it can be copied but not be read.
 */
#ifndef SM_NOTIFY_LINES_H
#define SM_NOTIFY_LINES_H

#include "record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lines {
	int fd;
	size_t start, end;   /* of what is read and not yet taken */
	uint64_t left;       /* bytes the file may still have */
	bool at_end, inside; /* of the file; of a long line */
	char bytes[2 * RECORD_LINE_MAX];
};

struct lines_piece {
	const char *text; /* valid until the next call */
	size_t len;       /* without the newline */
	bool whole;       /* a whole line, not a part of a long one */
	bool last;        /* the line ends with this piece */
	bool newline;     /* one follows; the last line of a file may lack it */
};

/* FD stays the caller's. MAX: bytes of a file that is read. */
void lines_init(struct lines *l, int fd, uint64_t max);

/* 1 and a piece, 0 at the end, -EFBIG beyond MAX bytes, -errno. */
int lines_next(struct lines *l, struct lines_piece *ret);

#endif
