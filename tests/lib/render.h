/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a server sends in a handshake, as a line of text that tests can compare:
 *
 *	list:SERVER(disk|its description) list:ACK
 *	go:EXPORT(1048576,1ed) go:BLOCK(1,4096,67108864) go:NAME(disk) go:DESC(text) go:ACK
 *	set:CONTEXT(1,base:allocation) info:UNKNOWN opt77:UNSUP
 *	name(1048576,d6d) name(1048576,d6d,zeros)	the answer to EXPORT_NAME
 *
 * Every frame is checked: magic, lengths, UTF-8, and that each error comes with words.
 */
#ifndef TESTS_LIB_RENDER_H
#define TESTS_LIB_RENDER_H

#include "buf.h"

/*
 * The replies at P (without the greeting); the text in OUT ends in a zero byte. False if they are
 * not well-formed; the text then ends in "BAD(what)".
 */
bool render_replies(const uint8_t *p, size_t len, struct buf *out);

/* They are well-formed and read as WANT, or the test ends. */
void render_expect(const uint8_t *p, size_t len, const char *want);

#endif
