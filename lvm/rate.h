/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How fast a copy is, when it will be over, and whether it is too slow. Pure.
 *
 * The rate is a moving average of the last 30 seconds: a disk that pauses is not a slow copy, one
 * that has crept for half a minute is.
 */
#ifndef LVM_RATE_H
#define LVM_RATE_H

#include <stdbool.h>
#include <stdint.h>

enum { RATE_SECONDS = 30, RATE_MARKS = RATE_SECONDS + 1 };

struct rate {
	uint64_t total, done; /* bytes */
	uint64_t min;         /* bytes/s, 0 = any will do */
	uint64_t began;       /* ms */
	struct {
		uint64_t at, done;
	} marks[RATE_MARKS]; /* one for each second, oldest first */
	unsigned count;
};

void rate_init(struct rate *r, uint64_t now, uint64_t total, uint64_t min);

/* DONE bytes are done so far. */
void rate_note(struct rate *r, uint64_t now, uint64_t done);

/* Bytes/s; 0 if nothing is known yet, or nothing moves. */
uint64_t rate_now(const struct rate *r, uint64_t now);

/* Seconds until all is done at this rate; UINT64_MAX = nobody knows. */
uint64_t rate_left(const struct rate *r, uint64_t now);

/* For 30 seconds it was below the minimum. */
bool rate_is_slow(const struct rate *r, uint64_t now);

#endif
