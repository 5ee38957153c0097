/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A growing run of bytes, written at its end and read from its start, integers in network order.
 *
 * Failure is sticky: when memory or the limit runs out every later append is ignored and
 * buf_failed() says so, so that a builder checks once at its end.
 */
#ifndef LIB_BUF_H
#define LIB_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data;
	size_t start; /* first unread byte */
	size_t end;   /* one past the last byte */
	size_t room;  /* bytes allocated */
	size_t limit; /* most bytes it may hold */
	bool failed;
};

void buf_init(struct buf *b, size_t limit);
void buf_done(struct buf *b);

/* Unread bytes, and how many. */
static inline const uint8_t *buf_bytes(const struct buf *b)
{
	return b->data + b->start;
}

static inline size_t buf_len(const struct buf *b)
{
	return b->end - b->start;
}

static inline bool buf_failed(const struct buf *b)
{
	return b->failed;
}

void buf_put(struct buf *b, const void *bytes, size_t len);
void buf_put_zeros(struct buf *b, size_t len);
void buf_put_u16(struct buf *b, uint16_t v);
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);

/* LEN writable bytes behind the end (NULL: sticky failure); buf_added() makes them content. */
uint8_t *buf_reserve(struct buf *b, size_t len);
void buf_added(struct buf *b, size_t len);

/* Forgets the first LEN unread bytes. An emptied buffer of more than 64 KiB gives its memory back.
 */
void buf_take(struct buf *b, size_t len);

/* Forgets everything, failure too; keeps the memory. */
void buf_clear(struct buf *b);

/* Network order, for code that reads or writes fixed headers in place. */
uint16_t get_u16(const uint8_t *p);
uint32_t get_u32(const uint8_t *p);
uint64_t get_u64(const uint8_t *p);
void set_u16(uint8_t *p, uint16_t v);
void set_u32(uint8_t *p, uint32_t v);
void set_u64(uint8_t *p, uint64_t v);

#endif
