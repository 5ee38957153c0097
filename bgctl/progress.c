/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two shapes of a progress line. The bar has the same place for every number, so that a line
 * written over the last one does not jump; its width follows the terminal only.
 */
#include "progress.h"

#include "units.h"
#include "util.h"

#include <stdio.h>
#include <string.h>

enum { BAR_MIN_COLUMNS = 60, BAR_MAX = 40, TEXT_MAX = 512 };

static unsigned share_of(const struct progress *p)
{
	unsigned share = units_share(p->cached, p->blocks);

	if (p->done)
		return 1000;
	/* All blocks may be there while the last are made durable. */
	return MIN_OF(share, 999u);
}

static void amounts(const struct progress *p, char out[TEXT_MAX])
{
	char cached[UNITS_MAX], size[UNITS_MAX];

	units_size(cached, p->done ? p->size : p->cached_bytes);
	units_size(size, p->size);
	snprintf(out, TEXT_MAX, "%s of %s", cached, size);
}

/* Rate and time left, or why there are none. */
static void pace(const struct progress *p, const char *between, char out[TEXT_MAX])
{
	char rate[UNITS_MAX], left[UNITS_MAX];

	if (p->done || *p->waiting) {
		snprintf(out, TEXT_MAX, "%s", p->done ? "done" : p->waiting);
		return;
	}
	units_size(rate, p->rate);
	units_time(left, (uint64_t)MAX_OF(p->seconds_left, (int64_t)0));
	if (p->seconds_left < 0)
		snprintf(out, TEXT_MAX, "%s/s", rate);
	else
		snprintf(out, TEXT_MAX, "%s/s%s%s left", rate, between, left);
}

size_t progress_columns(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80; /* UTF-8: a character's first byte */
	return n;
}

static void cut(char *text, size_t columns)
{
	for (; *text; text++) {
		bool first = ((unsigned char)*text & 0xc0) != 0x80;

		if (first && columns-- == 0) {
			*text = 0;
			return;
		}
	}
}

static size_t draw_bar(unsigned share, unsigned columns, char out[BAR_MAX + 4])
{
	size_t width = MIN_OF(columns / 5, (unsigned)BAR_MAX), full = width * share / 1000;

	out[0] = 0;
	if (columns < BAR_MIN_COLUMNS)
		return 0;
	out[0] = '[';
	memset(out + 1, '#', full);
	memset(out + 1 + full, '-', width - full);
	strcpy(out + 1 + width, "] ");
	return width + 3;
}

void progress_bar(const struct progress *p, unsigned columns, char out[PROGRESS_LINE_MAX])
{
	char moved[TEXT_MAX], speed[TEXT_MAX], bar[BAR_MAX + 4];
	unsigned share = share_of(p);
	size_t used = draw_bar(share, columns, bar);

	amounts(p, moved);
	pace(p, "  ", speed);
	memcpy(out, bar, used);
	snprintf(out + used, PROGRESS_LINE_MAX - used, "%3u.%u %%  %.100s  %s", share / 10,
		share % 10, moved, speed);
	cut(out, columns > 0 ? columns - 1 : 0);
}

void progress_plain(const struct progress *p, char out[PROGRESS_LINE_MAX])
{
	char moved[TEXT_MAX], speed[TEXT_MAX], percent[UNITS_MAX];

	amounts(p, moved);
	pace(p, ", ", speed);
	units_percent(percent, share_of(p));
	snprintf(out, PROGRESS_LINE_MAX, "copy: %s, %.100s, %s", percent, moved, speed);
}
