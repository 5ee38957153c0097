/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Retention; see keep.h. Called before a copy, to find its place, and after it, to find what may
 * go. "Newest" goes by number, as a clock may have been wrong; days go by the clock.
 */
#include "keep.h"

#include "util.h"

#include <string.h>
#include <time.h>

enum { DAY = 86400, MONTHS = 12 };

/* The number of a period since 1970: two copies with the same one are of the same. */
static uint64_t day_of(uint64_t time)
{
	return time / DAY;
}

/* 1970 began with a Thursday. */
static uint64_t week_of(uint64_t time)
{
	return (time / DAY + 3) / 7;
}

static uint64_t month_of(uint64_t time)
{
	time_t t = (time_t)time;
	struct tm tm;

	if (!gmtime_r(&t, &tm))
		return UINT64_MAX;
	return (uint64_t)tm.tm_year * MONTHS + (uint64_t)tm.tm_mon;
}

/* The newest of each of the last COUNT periods that have one. Those of one period may be apart, if
 * the clock was wrong. */
static void choose(
	const struct records *r, uint64_t count, uint64_t (*period)(uint64_t), bool *keep)
{
	for (size_t i = r->count; i > 0 && count > 0; i--) {
		const struct record *one = &r->items[i - 1];
		bool seen = one->state != RECORD_GOOD;

		for (size_t k = i; !seen && k < r->count; k++)
			seen = r->items[k].state == RECORD_GOOD &&
				period(r->items[k].time) == period(one->time);
		if (!seen) {
			keep[i - 1] = true;
			count--;
		}
	}
}

static void choose_last(const struct records *r, uint64_t count, bool *keep)
{
	for (size_t i = r->count; i > 0 && count > 0; i--) {
		if (r->items[i - 1].state == RECORD_GOOD) {
			keep[i - 1] = true;
			count--;
		}
	}
}

void keep_choose(const struct records *r, const struct keep_policy *p, bool *keep)
{
	memset(keep, 0, r->count * sizeof(*keep));
	choose_last(r, MAX_OF(p->last, (uint64_t)1), keep);
	choose(r, p->daily, day_of, keep);
	choose(r, p->weekly, week_of, keep);
	choose(r, p->monthly, month_of, keep);
}

uint64_t keep_most(const struct keep_policy *p)
{
	return MAX_OF(p->last, (uint64_t)1) + p->daily + p->weekly + p->monthly;
}

/* How little the place SLOT is worth: 0 = must not be taken. */
static uint64_t worth(const struct records *r, const bool *keep, unsigned slot)
{
	uint64_t least = UINT64_MAX - 1;

	for (size_t i = 0; i < r->count; i++) {
		const struct record *one = &r->items[i];

		if (one->slot != slot)
			continue;
		if (keep[i])
			return 0;
		/* Older ones of the same place were overwritten by newer ones. */
		least = one->state == RECORD_GOOD ? UINT64_MAX / 2 - one->number : UINT64_MAX;
	}
	return least;
}

unsigned keep_next_slot(const struct records *r, const struct keep_policy *p)
{
	CLEANUP_FREE bool *keep = calloc(r->count + 1, sizeof(*keep));
	uint64_t best = 0, places = keep_most(p) + 1;
	unsigned ret = 0;

	if (!keep)
		return 0;
	keep_choose(r, p, keep);
	for (unsigned slot = 1; slot <= places; slot++) {
		uint64_t w = worth(r, keep, slot);

		if (w > best) {
			best = w;
			ret = slot;
		}
	}
	return ret;
}
