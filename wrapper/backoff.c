/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See backoff.h. */
#include "backoff.h"

#include "util.h"

enum { DOUBLINGS_MAX = 7 };

void backoff_failed(struct backoff *b, uint64_t now, uint64_t lived)
{
	uint64_t wait;

	if (lived >= BACKOFF_LIVED_MS)
		b->failures = 0;
	wait = (uint64_t)BACKOFF_FIRST_MS << MIN_OF(b->failures, (unsigned)DOUBLINGS_MAX);
	b->failures++;
	b->until = now + MIN_OF(wait, (uint64_t)BACKOFF_MAX_MS);
}

uint64_t backoff_left(const struct backoff *b, uint64_t now)
{
	return b->until > now ? b->until - now : 0;
}

void backoff_forget(struct backoff *b)
{
	*b = (struct backoff){0};
}
