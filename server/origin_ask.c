/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A job as requests to an origin. A read goes to the job's buffer where it lies on blocks of the
 * origin, and by a buffer beside it where not; if it is too long for one request, one follows the
 * other. Callbacks from libnbd only write down what came.
 */
#include "origin_link.h"
#include "util.h"

#include <errno.h>
#include <libnbd.h>
#include <string.h>

/* Bytes asked about at once: 32 bits, of whole blocks whatever their size (at most 64 KiB). */
static const uint64_t STATUS_MAX = UINT32_MAX - 0xffff;

static int completed(void *arg, int *error)
{
	struct origin_ask *a = arg;

	origin_link_note(a, *error);
	/* 1 = libnbd forgets the request. Not the one it is just taking: it looks at it after it
	 * failed that way (1.14). */
	return a != a->link->issuing;
}

/* libnbd reports success also if the pieces of a reply are not the whole: so they are counted. */
static int piece_came(
	void *arg, const void *piece, size_t length, uint64_t offset, unsigned kind, int *error)
{
	struct origin_ask *a = arg;

	(void)piece;
	(void)offset;
	(void)error;
	if (kind != LIBNBD_READ_ERROR)
		a->seen += length;
	return 0;
}

static bool is_on_block(const struct origin_ask *a, uint64_t offset)
{
	const struct origin_facts *f = &a->link->facts;

	return offset % f->block == 0 || offset == f->size;
}

/* Straight: as many whole blocks as one request takes. */
static void plan_straight(struct origin_ask *a, uint64_t offset, uint64_t end)
{
	const struct origin_facts *f = &a->link->facts;
	uint64_t length = MIN_OF(end - offset, f->read_max);

	a->offset = offset;
	a->length = is_on_block(a, offset + length) ? length : round_down(length, f->block);
}

/* Around: the blocks that hold the range, or its beginning. */
static bool plan_around(struct origin_ask *a, uint64_t offset, uint64_t end)
{
	const struct origin_facts *f = &a->link->facts;
	uint64_t most = MIN_OF((uint64_t)ORIGIN_LINK_BOUNCE, f->read_max);

	a->offset = round_down(offset, f->block);
	a->length = MIN_OF(MIN_OF(round_up(end, f->block), f->size) - a->offset, most);
	a->bounce = malloc(a->length);
	return a->bounce;
}

static int64_t issue_read(struct origin_ask *a)
{
	const nbd_chunk_callback chunk = {.callback = piece_came, .user_data = a};
	const nbd_completion_callback completion = {.callback = completed, .user_data = a};
	const struct origin_job *job = a->job;
	uint64_t offset = job->offset + a->pos, end = job->offset + job->length;
	bool straight = is_on_block(a, offset) &&
		(end - offset >= a->link->facts.block || is_on_block(a, end));

	if (straight)
		plan_straight(a, offset, end);
	else if (!plan_around(a, offset, end))
		return -ENOMEM;
	return nbd_aio_pread_structured(a->link->nbd, a->bounce ? a->bounce : job->buf + a->pos,
		a->length, a->offset, chunk, completion, 0);
}

static void add_extent(struct origin_job *job, uint64_t length, bool zero)
{
	size_t n = job->extent_count;

	if (n > 0 && job->extents[n - 1].zero == zero)
		job->extents[n - 1].length += length;
	else if (n < ORIGIN_EXTENTS_MAX)
		job->extents[job->extent_count++] = (struct origin_extent){length, zero};
}

/* What lies before the job's range (it was asked in whole blocks) or behind the origin is left out.
 * ENTRIES are pairs: length, flags. */
static int extents_came(void *arg, const char *context, uint64_t offset, uint32_t *entries,
	size_t count, int *error)
{
	struct origin_ask *a = arg;
	struct origin_job *job = a->job;

	(void)error;
	if (strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION) != 0)
		return 0;
	job->extent_count = 0;
	for (size_t i = 0; i + 1 < count && job->extent_count < ORIGIN_EXTENTS_MAX; i += 2) {
		uint64_t end = MIN_OF(offset + entries[i], a->link->facts.size);
		uint64_t begin = MAX_OF(offset, job->offset);

		if (end > begin)
			add_extent(job, end - begin, entries[i + 1] & LIBNBD_STATE_ZERO);
		offset = end;
	}
	return 0;
}

static int64_t issue_status(struct origin_ask *a)
{
	const nbd_extent_callback extent = {.callback = extents_came, .user_data = a};
	const nbd_completion_callback completion = {.callback = completed, .user_data = a};
	const struct origin_facts *f = &a->link->facts;
	uint64_t end = MIN_OF(round_up(a->job->offset + a->job->length, f->block), f->size);

	if (!f->status) {
		origin_link_note(a, 0);
		return 0;
	}
	a->offset = round_down(a->job->offset, f->block);
	a->length = MIN_OF(end - a->offset, STATUS_MAX);
	return nbd_aio_block_status(a->link->nbd, a->length, a->offset, extent, completion, 0);
}

void origin_ask_issue(struct origin_ask *a)
{
	struct origin_link *l = a->link;
	int64_t cookie;

	a->sent = l->reactor->now;
	a->seen = 0;
	a->job->extent_count = 0;
	l->issuing = a;
	cookie = a->job->kind == ORIGIN_READ ? issue_read(a) : issue_status(a);
	l->issuing = NULL;
	if (cookie > 0 && a->answered)
		nbd_aio_command_completed(l->nbd, (uint64_t)cookie);
	else if (cookie == -ENOMEM)
		origin_link_note(a, ENOMEM);
	else if (cookie < 0)
		origin_link_note(a, nbd_get_errno() ? nbd_get_errno() : EIO);
}

/* Copies what the job wanted of the range around. */
static uint64_t take_around(struct origin_ask *a)
{
	uint64_t skip = a->job->offset + a->pos - a->offset;
	uint64_t length = MIN_OF(a->length - skip, a->job->length - a->pos);

	memcpy(a->job->buf + a->pos, a->bounce + skip, length);
	return length;
}

int origin_ask_accept(struct origin_ask *a)
{
	struct origin_job *job = a->job;

	if (job->kind == ORIGIN_STATUS) {
		if (job->extent_count == 0)
			add_extent(job, job->length, false);
		return 1;
	}
	if (a->seen != a->length)
		return -EIO;
	a->pos += a->bounce ? take_around(a) : a->length;
	free(a->bounce);
	a->bounce = NULL;
	return a->pos == job->length;
}
