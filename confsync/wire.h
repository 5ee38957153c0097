/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What two nodes say over a stream: frames (pure, wire.c) and the messages in them (pure,
 * message.h). A frame is
 *
 *	u32 length of the body (network order), u8 kind, body
 *
 * TEXT holds a JSON object, GENERATION the text of generation.h, DATA a piece of a file's content.
 * Kinds have limits; what is longer, empty, or of no kind, ends the conversation.
 */
#ifndef CONFSYNC_WIRE_H
#define CONFSYNC_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	WIRE_HEADER = 5,
	WIRE_TEXT_MAX = 64 * 1024,
	WIRE_DATA_MAX = 256 * 1024,
	WIRE_GENERATION_MAX = 64 * 1024 * 1024
};
enum wire_kind { WIRE_TEXT = 'T', WIRE_GENERATION = 'G', WIRE_DATA = 'D' };

void wire_header(enum wire_kind kind, uint32_t len, uint8_t ret[WIRE_HEADER]);
/* 0, or -EPROTO: no kind, empty, or longer than the kind may be. */
int wire_parse(const uint8_t header[WIRE_HEADER], enum wire_kind *kind, uint32_t *len);

#endif
