/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Streams and their windows; see readahead.h. */
#include "readahead.h"

#include "util.h"

static _Atomic uint64_t *mark_of(struct readahead *ra, uint64_t region)
{
	return &ra->marks[region % READAHEAD_MARKS];
}

bool readahead_passes(struct readahead *ra, uint64_t offset, uint64_t length)
{
	uint64_t region = offset / READAHEAD_REGION;
	uint64_t last = (offset + length - 1) / READAHEAD_REGION;

	for (; region <= last; region++) {
		uint64_t mark = region + 1;

		if (atomic_load_explicit(mark_of(ra, region), memory_order_relaxed) == mark &&
			atomic_compare_exchange_strong(mark_of(ra, region), &mark, 0))
			return true;
	}
	return false;
}

/* The stream this read goes on with: it begins where the last one ended, or in the window. */
static struct readahead_stream *find_stream(struct readahead *ra, uint64_t offset)
{
	for (unsigned i = 0; i < READAHEAD_STREAMS; i++) {
		struct readahead_stream *s = &ra->streams[i];

		if (s->next > 0 && offset >= s->next && offset <= MAX_OF(s->ahead, s->next))
			return s;
	}
	return NULL;
}

bool readahead_note(struct readahead *ra, uint64_t offset, uint64_t length, uint64_t size,
	uint64_t *ret_from, uint64_t *ret_end)
{
	struct readahead_stream *s = find_stream(ra, offset);
	uint64_t end = offset + length, region;

	if (!s) {
		s = &ra->streams[ra->turn++ % READAHEAD_STREAMS];
		*s = (struct readahead_stream){.next = end, .ahead = end};
		return false;
	}
	s->next = end;
	s->window = MAX_OF(2 * s->window, (uint64_t)READAHEAD_MIN);
	s->window = MIN_OF(s->window, (uint64_t)READAHEAD_MAX);
	*ret_from = MAX_OF(s->ahead, end);
	*ret_end = MIN_OF(end + s->window, size);
	if (*ret_from >= *ret_end)
		return false;
	s->ahead = *ret_end;
	region = (*ret_end - (*ret_end - end) / 2) / READAHEAD_REGION;
	atomic_store_explicit(mark_of(ra, region), region + 1, memory_order_relaxed);
	return true;
}
