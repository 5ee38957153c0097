/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines of fields, as manifests and generations are written: fields are separated by exactly one
 * space, a line ends in a newline, none is empty. Each thing has one form only, so what was read is
 * printed as the same bytes. Pure, but for malloc.
 *
 * Escaped bytes: space, '%', control bytes and bytes >= 0x80 are %XX (upper case), all others are
 * themselves. A value may be empty, which is written "-"; a value "-" is "%2D".
 */
#ifndef CONFSYNC_LINE_H
#define CONFSYNC_LINE_H

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

size_t line_escaped_len(const void *bytes, size_t len);
/* Writes exactly line_escaped_len() bytes, no zero. */
void line_escape(const void *bytes, size_t len, char *out);
/* OUT has room for LEN bytes. False: this is not the escape of anything. */
bool line_unescape(const char *text, size_t len, uint8_t *out, size_t *ret_len);

void line_put_text(struct buf *b, const char *text);
void line_put_value(struct buf *b, const void *bytes, size_t len);
void line_put_number(struct buf *b, uint64_t n);

struct line_reader {
	const char *next, *end;       /* lines that were not read yet */
	const char *begin, *at, *eol; /* the line, and how far its fields were taken */
	size_t number;                /* of the line, from 1 */
};

void line_start(struct line_reader *r, const char *text, size_t len);
/* 1: there is a line; 0: no more; -EBADMSG: the last one has no newline. */
int line_next(struct line_reader *r);

/* Fields, one at a time from left to right; false: it is not there, or is none. */
bool line_word(struct line_reader *r, const char **word, size_t *len);
bool line_is(struct line_reader *r, const char *word);
bool line_number(struct line_reader *r, uint64_t max, uint64_t *ret);
/* Not empty, without a zero byte. */
bool line_text(struct line_reader *r, char *out, size_t room);
/* The same, malloc'd. -EBADMSG, -E2BIG: more than MAX bytes, -ENOMEM. */
int line_text_new(struct line_reader *r, size_t max, char **ret);
/* Any bytes, with a zero behind them that does not count. */
int line_value_new(struct line_reader *r, size_t max, uint8_t **ret, size_t *ret_len);
bool line_ended(const struct line_reader *r);

#endif
