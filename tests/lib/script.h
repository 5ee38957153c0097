/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a client sends in a handshake, from a line of text. Words are separated by spaces:
 *
 *	f3                      the client flags, hexadecimal
 *	name:disk               EXPORT_NAME
 *	go:disk,0,3             GO with information requests 0 and 3; info: likewise
 *	set:disk,base:allocation,x:y   SET_META_CONTEXT with two queries; lm: LIST_META_CONTEXT
 *	abort list starttls sr ext     options without payload; opt77: option number 77
 *	hex:00ff                raw bytes
 *
 * A name ~4096 is 4096 letters, '^' in one is a zero byte. Any option may end in +N (N zero bytes
 * more payload) or -N (the last N bytes of the payload cut off); the header's length follows.
 */
#ifndef TESTS_LIB_SCRIPT_H
#define TESTS_LIB_SCRIPT_H

#include "buf.h"

void script_bytes(const char *text, struct buf *out);

/* Magic, number and length of an option; then the payload. */
void script_header(struct buf *out, uint32_t option, uint32_t len);
void script_option(struct buf *out, uint32_t option, const void *payload, size_t len);

/* The word an option has above; NULL for a number without one. */
const char *script_option_word(uint32_t option);

#endif
