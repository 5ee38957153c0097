/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See replies.h. A header is read in steps: 16 bytes are a simple reply or the start of a chunk, 20
 * a chunk, and the place of data (8 more) or of a hole (12 more) is taken as part of the header.
 */
#include "replies.h"

#include "buf.h"
#include "util.h"

#include <string.h>

enum { PLACE_BYTES = 8, HOLE_BYTES = 12 };

void replies_init(struct replies *r)
{
	*r = (struct replies){.need = NBD_SIMPLE_REPLY_BYTES};
}

static void next_header(struct replies *r)
{
	r->have = 0;
	r->need = NBD_SIMPLE_REPLY_BYTES;
}

/* LEFT bytes of data follow; behind them, if LAST, the request is done. */
static void expect(struct replies *r, uint64_t left, bool last)
{
	r->left = left;
	r->len = 0;
	r->last = last;
	r->ending = last && left == 0;
}

void replies_expect(struct replies *r, uint64_t offset, uint64_t length)
{
	r->offset = offset;
	expect(r, length, true);
}

static enum replies_event simple(struct replies *r)
{
	bool error = get_u32(r->head + 4) != 0;

	next_header(r);
	if (!error)
		return REPLIES_SIMPLE;
	expect(r, 0, true);
	return REPLIES_ERROR;
}

/* The chunk's header is whole, with its place. */
static enum replies_event chunk(struct replies *r, uint16_t type, uint32_t length)
{
	bool last = (get_u16(r->head + 4) & NBD_CHUNK_FLAG_DONE) != 0;

	next_header(r);
	r->offset = get_u64(r->head + NBD_CHUNK_BYTES);
	expect(r, type == NBD_CHUNK_OFFSET_DATA ? length - PLACE_BYTES : 0, last);
	if (type == NBD_CHUNK_OFFSET_HOLE) {
		r->len = get_u32(r->head + NBD_CHUNK_BYTES + PLACE_BYTES);
		return REPLIES_HOLE;
	}
	if (type != NBD_CHUNK_OFFSET_DATA)
		r->skip = length;
	return type & 0x8000 ? REPLIES_ERROR : REPLIES_MORE;
}

/* `need` bytes are there. MORE: go on reading. */
static enum replies_event header(struct replies *r)
{
	uint32_t magic = get_u32(r->head), length = get_u32(r->head + NBD_SIMPLE_REPLY_BYTES);
	uint16_t type = get_u16(r->head + 6);
	size_t place = type == NBD_CHUNK_OFFSET_DATA ? PLACE_BYTES
		: type == NBD_CHUNK_OFFSET_HOLE      ? HOLE_BYTES
						     : 0;

	r->cookie = get_u64(r->head + 8);
	if (magic == NBD_MAGIC_SIMPLE_REPLY)
		return simple(r);
	if (magic != NBD_MAGIC_STRUCTURED)
		return REPLIES_BROKEN;
	if (r->need == NBD_SIMPLE_REPLY_BYTES) {
		r->need = NBD_CHUNK_BYTES;
		return REPLIES_MORE;
	}
	if (length < place)
		return REPLIES_BROKEN;
	if (r->need < NBD_CHUNK_BYTES + place) {
		r->need = NBD_CHUNK_BYTES + place;
		return REPLIES_MORE;
	}
	return chunk(r, type, length);
}

static enum replies_event body(struct replies *r, const uint8_t **p, size_t *len)
{
	r->offset += r->len;
	r->data = *p;
	r->len = MIN_OF((uint64_t)*len, r->left);
	r->left -= r->len;
	r->ending = r->last && r->left == 0;
	*p += r->len;
	*len -= r->len;
	return REPLIES_DATA;
}

static void pass_over(struct replies *r, const uint8_t **p, size_t *len)
{
	size_t n = MIN_OF((uint64_t)*len, r->skip);

	r->skip -= n;
	*p += n;
	*len -= n;
}

static enum replies_event done(struct replies *r)
{
	r->ending = false;
	return REPLIES_DONE;
}

enum replies_event replies_next(struct replies *r, const uint8_t **p, size_t *len)
{
	enum replies_event event = REPLIES_MORE;

	while (event == REPLIES_MORE) {
		size_t n = MIN_OF(*len, r->need - r->have);

		if (r->skip > 0 && *len > 0) {
			pass_over(r, p, len);
			continue;
		}
		if (r->skip == 0 && r->ending)
			return done(r);
		if (*len == 0)
			return REPLIES_MORE;
		if (r->left > 0)
			return body(r, p, len);
		memcpy(r->head + r->have, *p, n);
		r->have += n;
		*p += n;
		*len -= n;
		if (r->have == r->need)
			event = header(r);
	}
	return event;
}
