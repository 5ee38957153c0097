/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of what is shown; see iostat_item.h. Its order is the order on the screen. */
#include "iostat_item.h"

#include <stdlib.h>
#include <string.h>

struct iostat_item *iostat_insert(struct iostat_sample *s, size_t at)
{
	if (s->count == IOSTAT_ITEMS_MAX)
		return NULL;
	if (s->count == s->room) {
		size_t room = s->room ? 2 * s->room : 32;
		struct iostat_item *more = realloc(s->items, room * sizeof(*more));

		if (!more)
			return NULL;
		s->items = more;
		s->room = room;
	}
	memmove(s->items + at + 1, s->items + at, (s->count - at) * sizeof(*s->items));
	memset(s->items + at, 0, sizeof(*s->items));
	s->count++;
	return s->items + at;
}

void iostat_sample_done(struct iostat_sample *s)
{
	free(s->items);
	*s = (struct iostat_sample){0};
}
