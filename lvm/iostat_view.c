/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rates of two looks; see iostat_view.h. Pure. Items are compared by identity. A count that went
 * back is of a device that was made anew without a sign of it: its rates are not known, rather than
 * enormous.
 */
#include "iostat_view.h"

#include "util.h"

#include <stdlib.h>
#include <string.h>

static int by_identity(const void *a, const void *b)
{
	const struct iostat_item *const *x = a, *const *y = b;

	return strcmp((*x)->identity, (*y)->identity);
}

static const struct iostat_item **sorted(const struct iostat_sample *s)
{
	const struct iostat_item **all = calloc(s->count + 1, sizeof(*all));

	for (size_t i = 0; all && i < s->count; i++)
		all[i] = &s->items[i];
	if (all)
		qsort(all, s->count, sizeof(*all), by_identity);
	return all;
}

static bool went_back(const struct iostat_counts *now, const struct iostat_counts *before)
{
	return now->reads < before->reads || now->writes < before->writes ||
		now->read < before->read || now->written < before->written ||
		now->queue_ms < before->queue_ms;
}

static struct iostat_rates rates_of(
	const struct iostat_counts *now, const struct iostat_counts *before, double seconds)
{
	if (seconds <= 0 || went_back(now, before))
		return (struct iostat_rates){0};
	return (struct iostat_rates){.is_known = true,
		.reads = (double)(now->reads - before->reads) / seconds,
		.writes = (double)(now->writes - before->writes) / seconds,
		.read = (double)(now->read - before->read) / seconds,
		.written = (double)(now->written - before->written) / seconds,
		.queue_ms = (double)(now->queue_ms - before->queue_ms) / seconds};
}

struct iostat_rates *iostat_view(
	const struct iostat_sample *before, const struct iostat_sample *now)
{
	struct iostat_rates *ret = calloc(now->count + 1, sizeof(*ret));
	CLEANUP_FREE const struct iostat_item **old = before ? sorted(before) : NULL;
	double seconds = before ? (double)(now->ns - before->ns) / 1e9 : 0;

	for (size_t i = 0; ret && old && i < now->count; i++) {
		const struct iostat_item *item = &now->items[i], **found;

		found = bsearch(&item, old, before->count, sizeof(*old), by_identity);
		if (found)
			ret[i] = rates_of(&item->counts, &(*found)->counts, seconds);
	}
	return ret;
}
