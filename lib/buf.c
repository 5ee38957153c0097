/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Growing byte buffer; see buf.h. Grows by doubling, never beyond its limit. */
#include "buf.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

enum { KEEP_MAX = 64 * 1024 };

void buf_init(struct buf *b, size_t limit)
{
	*b = (struct buf){.limit = limit};
}

void buf_done(struct buf *b)
{
	free(b->data);
	*b = (struct buf){0};
}

static void compact(struct buf *b)
{
	if (b->start == 0)
		return;
	memmove(b->data, b->data + b->start, buf_len(b));
	b->end -= b->start;
	b->start = 0;
}

static bool grow(struct buf *b, size_t need)
{
	size_t room = b->room ? b->room : 256;
	uint8_t *p;

	while (room < need)
		room *= 2;
	p = realloc(b->data, room);
	if (!p)
		return false;
	b->data = p;
	b->room = room;
	return true;
}

uint8_t *buf_reserve(struct buf *b, size_t len)
{
	if (b->failed || len > b->limit || buf_len(b) > b->limit - len) {
		b->failed = true;
		return NULL;
	}
	if (b->room - b->end < len)
		compact(b);
	if (b->room - b->end < len && !grow(b, b->end + len)) {
		b->failed = true;
		return NULL;
	}
	return b->data + b->end;
}

void buf_added(struct buf *b, size_t len)
{
	b->end += len;
}

void buf_put(struct buf *b, const void *bytes, size_t len)
{
	uint8_t *p = buf_reserve(b, len);

	if (!p || len == 0)
		return;
	memcpy(p, bytes, len);
	b->end += len;
}

void buf_put_zeros(struct buf *b, size_t len)
{
	uint8_t *p = buf_reserve(b, len);

	if (!p)
		return;
	memset(p, 0, len);
	b->end += len;
}

void buf_put_u16(struct buf *b, uint16_t v)
{
	v = htobe16(v);
	buf_put(b, &v, sizeof(v));
}

void buf_put_u32(struct buf *b, uint32_t v)
{
	v = htobe32(v);
	buf_put(b, &v, sizeof(v));
}

void buf_put_u64(struct buf *b, uint64_t v)
{
	v = htobe64(v);
	buf_put(b, &v, sizeof(v));
}

void buf_take(struct buf *b, size_t len)
{
	b->start += len;
	if (b->start < b->end)
		return;
	b->start = b->end = 0;
	if (b->room > KEEP_MAX) {
		free(b->data);
		b->data = NULL;
		b->room = 0;
	}
}

void buf_clear(struct buf *b)
{
	b->start = b->end = 0;
	b->failed = false;
}

uint16_t get_u16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return be16toh(v);
}

uint32_t get_u32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

uint64_t get_u64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

void set_u16(uint8_t *p, uint16_t v)
{
	v = htobe16(v);
	memcpy(p, &v, sizeof(v));
}

void set_u32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof(v));
}

void set_u64(uint8_t *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof(v));
}
