/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reply headers, simple and structured. Once structured replies are agreed on, every reply is one
 * chunk with DONE: data, extents, "none" or an error; a whole READ is one OFFSET_DATA chunk, which
 * is what DF asks for and costs the least.
 */
#include "reply.h"

#include "buf.h"
#include "util.h"

#include <string.h>

static void simple(struct request *rq)
{
	rq->head_len = nbd_simple_reply_encode(rq->head, rq->nbd.cookie, nbd_error(rq->error));
	rq->data_len = !rq->error && rq->nbd.type == NBD_CMD_READ ? (size_t)rq->nbd.length : 0;
}

/* Chunk header for a payload of EXTRA bytes in the head and the data behind it. */
static uint8_t *chunk(struct request *rq, bool extended, uint16_t type, size_t extra)
{
	size_t n = nbd_chunk_encode(rq->head, extended, NBD_CHUNK_FLAG_DONE, type, rq->nbd.cookie,
		rq->nbd.offset, extra + rq->data_len);

	rq->head_len = n + extra;
	return rq->head + n;
}

static void error_chunk(struct request *rq, bool extended)
{
	const char *text = rq->text ? rq->text : "";
	size_t len = MIN_OF(strlen(text), (size_t)REQUEST_TEXT_MAX);
	uint8_t *p = chunk(rq, extended, NBD_CHUNK_ERROR, 6 + len);

	set_u32(p, nbd_error(rq->error));
	set_u16(p + 4, (uint16_t)len);
	memcpy(p + 6, text, len);
}

static void data_chunk(struct request *rq, bool extended)
{
	uint8_t *p;

	rq->data_len = (size_t)rq->nbd.length;
	p = chunk(rq, extended, NBD_CHUNK_OFFSET_DATA, 8);
	set_u64(p, rq->nbd.offset);
}

size_t reply_pack_extents(struct request *rq, int count, bool extended)
{
	uint8_t *out = rq->data;

	for (int i = 0; i < count; i++) {
		struct extent e;

		memcpy(&e, rq->data + (size_t)i * sizeof(e), sizeof(e));
		if (extended) {
			set_u64(out, e.length);
			set_u64(out + 8, e.state);
			out += 16;
		} else {
			set_u32(out, (uint32_t)e.length);
			set_u32(out + 4, e.state);
			out += 8;
		}
	}
	return (size_t)(out - rq->data);
}

static void status_chunk(struct request *rq, bool extended)
{
	uint8_t *p;

	rq->data_len = reply_pack_extents(rq, rq->extents, extended);
	if (extended) {
		p = chunk(rq, true, NBD_CHUNK_BLOCK_STATUS_EXT, 8);
		set_u32(p + 4, (uint32_t)rq->extents);
	} else {
		p = chunk(rq, false, NBD_CHUNK_BLOCK_STATUS, 4);
	}
	set_u32(p, NBD_CONTEXT_BASE_ID);
}

void reply_build(struct request *rq, const struct features *agreed)
{
	bool ext = agreed->extended;

	rq->data_len = 0;
	if (!agreed->structured)
		simple(rq);
	else if (rq->error)
		error_chunk(rq, ext);
	else if (rq->nbd.type == NBD_CMD_READ && rq->nbd.length > 0)
		data_chunk(rq, ext);
	else if (rq->nbd.type == NBD_CMD_BLOCK_STATUS)
		status_chunk(rq, ext);
	else
		chunk(rq, ext, NBD_CHUNK_NONE, 0);
}
