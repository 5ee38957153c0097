/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A moving average over marks, one a second; see rate.h. Pure: the caller has the clock. It may
 * note nothing for a long time, so what is asked counts the time since the last mark as well.
 */
#include "rate.h"

#include <string.h>

enum { SECOND = 1000 };

void rate_init(struct rate *r, uint64_t now, uint64_t total, uint64_t min)
{
	*r = (struct rate){.total = total, .min = min, .began = now, .count = 1};
	r->marks[0].at = now;
}

void rate_note(struct rate *r, uint64_t now, uint64_t done)
{
	r->done = done;
	if (now - r->marks[r->count - 1].at < SECOND)
		return;
	if (r->count == RATE_MARKS) {
		memmove(r->marks, r->marks + 1, sizeof(r->marks) - sizeof(r->marks[0]));
		r->count--;
	}
	r->marks[r->count].at = now;
	r->marks[r->count++].done = done;
}

/* The youngest mark that is at least as old as what is looked at, or the oldest there is. */
static unsigned first_mark(const struct rate *r, uint64_t now)
{
	unsigned i = 0;

	while (i + 1 < r->count && now - r->marks[i + 1].at >= RATE_SECONDS * SECOND)
		i++;
	return i;
}

uint64_t rate_now(const struct rate *r, uint64_t now)
{
	unsigned i = first_mark(r, now);
	uint64_t ms = now - r->marks[i].at;

	/* Bytes are below 2^63 but may not be times 1000. */
	return ms == 0 ? 0 : (uint64_t)((double)(r->done - r->marks[i].done) * SECOND / (double)ms);
}

uint64_t rate_left(const struct rate *r, uint64_t now)
{
	uint64_t rate = rate_now(r, now);

	if (r->done >= r->total)
		return 0;
	return rate == 0 ? UINT64_MAX : (r->total - r->done + rate - 1) / rate;
}

bool rate_is_slow(const struct rate *r, uint64_t now)
{
	return r->min > 0 && r->done < r->total && now - r->began >= RATE_SECONDS * SECOND &&
		rate_now(r, now) < r->min;
}
