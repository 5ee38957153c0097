/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Headers of frames; see wire.h. The limit of a kind is looked at before anybody takes memory for a
 * body.
 */
#include "wire.h"

#include "buf.h"

#include <errno.h>

/* 0: no kind. */
static uint32_t limit(uint8_t kind)
{
	switch (kind) {
	case WIRE_TEXT:
		return WIRE_TEXT_MAX;
	case WIRE_GENERATION:
		return WIRE_GENERATION_MAX;
	case WIRE_DATA:
		return WIRE_DATA_MAX;
	}
	return 0;
}

void wire_header(enum wire_kind kind, uint32_t len, uint8_t ret[WIRE_HEADER])
{
	set_u32(ret, len);
	ret[4] = (uint8_t)kind;
}

int wire_parse(const uint8_t header[WIRE_HEADER], enum wire_kind *kind, uint32_t *len)
{
	uint32_t n = get_u32(header);

	if (n == 0 || n > limit(header[4]))
		return -EPROTO;
	*kind = (enum wire_kind)header[4];
	*len = n;
	return 0;
}
