/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Payloads of frames between two lvm_copy; see wire.h. Pure. Whoever is on the other side may send
 * anything: lengths are checked before use, texts become ones that end.
 */
#include "wire.h"

#include "str.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char hello[] = "lvm_copy 2\n";

enum { RESULT_FIXED = 4 * 8 + 4 + CODEC_HASH, OPEN_FIXED = 4 + 4 };

void wire_put_hello(struct buf *b)
{
	buf_put(b, hello, sizeof(hello) - 1);
}

bool wire_is_hello(const uint8_t *bytes, size_t len)
{
	return len == sizeof(hello) - 1 && memcmp(bytes, hello, len) == 0;
}

/* A text without zero bytes that is shorter than ROOM. */
static int take_text(const uint8_t *bytes, size_t len, char *out, size_t room)
{
	if (len >= room || memchr(bytes, 0, len))
		return -EBADMSG;
	memcpy(out, bytes, len);
	out[len] = 0;
	return 0;
}

static void put_text(struct buf *b, const char *text)
{
	size_t len = strlen(text);

	buf_put_u16(b, (uint16_t)len);
	buf_put(b, text, len);
}

void wire_put_open(struct buf *b, const struct wire_open *o, bool with_head)
{
	buf_put_u32(b, o->flags);
	buf_put_u32(b, o->number);
	put_text(b, o->spec);
	if (!with_head)
		return;
	put_text(b, o->source);
	manifest_put_head(b, &o->head);
}

/* A length and a text; *BYTES and *LEN are what is behind them then. */
static int get_text(const uint8_t **bytes, size_t *len, char out[SPEC_TEXT_MAX])
{
	size_t text;

	if (*len < 2)
		return -EBADMSG;
	text = get_u16(*bytes);
	if (text > *len - 2 || take_text(*bytes + 2, text, out, SPEC_TEXT_MAX) < 0)
		return -EBADMSG;
	*bytes += 2 + text;
	*len -= 2 + text;
	return 0;
}

int wire_get_open(const uint8_t *bytes, size_t len, bool with_head, struct wire_open *ret)
{
	struct wire_open o = {0};
	size_t used = 0;

	if (len < OPEN_FIXED)
		return -EBADMSG;
	o.flags = get_u32(bytes);
	o.number = get_u32(bytes + 4);
	bytes += OPEN_FIXED;
	len -= OPEN_FIXED;
	if (get_text(&bytes, &len, o.spec) < 0)
		return -EBADMSG;
	if (with_head &&
		(get_text(&bytes, &len, o.source) < 0 ||
			manifest_get_head(bytes, len, &o.head, &used) < 0))
		return -EBADMSG;
	if (used != len)
		return -EBADMSG;
	*ret = o;
	return 0;
}

void wire_put_piece(struct buf *b, const struct wire_piece *p)
{
	buf_put_u64(b, p->index);
	buf_put_u32(b, p->len);
	buf_put_u32(b, p->flags);
	buf_put(b, p->hash, CODEC_HASH);
}

int wire_get_piece(const uint8_t *bytes, size_t len, struct wire_piece *ret)
{
	if (len < WIRE_PIECE)
		return -EBADMSG;
	ret->index = get_u64(bytes);
	ret->len = get_u32(bytes + 8);
	ret->flags = get_u32(bytes + 12);
	memcpy(ret->hash, bytes + 16, CODEC_HASH);
	ret->bytes = bytes + WIRE_PIECE;
	ret->bytes_len = len - WIRE_PIECE;
	return ret->len > MANIFEST_CHUNK_MAX ? -EBADMSG : 0;
}

void wire_put_result(struct buf *b, const struct target_result *r)
{
	buf_put_u64(b, r->totals.chunks);
	buf_put_u64(b, r->totals.zeros);
	buf_put_u64(b, r->totals.stored);
	buf_put_u64(b, r->totals.completed);
	buf_put_u32(b, r->totals.readback);
	buf_put(b, r->totals.digest, CODEC_HASH);
	buf_put(b, r->manifest, strlen(r->manifest));
}

int wire_get_result(const uint8_t *bytes, size_t len, struct target_result *ret)
{
	struct target_result r = {0};

	if (len < RESULT_FIXED ||
		take_text(bytes + RESULT_FIXED, len - RESULT_FIXED, r.manifest,
			sizeof(r.manifest)) < 0)
		return -EBADMSG;
	r.totals.chunks = get_u64(bytes);
	r.totals.zeros = get_u64(bytes + 8);
	r.totals.stored = get_u64(bytes + 16);
	r.totals.completed = get_u64(bytes + 24);
	r.totals.readback = get_u32(bytes + 32) != 0;
	memcpy(r.totals.digest, bytes + 36, CODEC_HASH);
	*ret = r;
	return 0;
}

void wire_put_error(struct buf *b, const struct err *e)
{
	buf_put_u32(b, (uint32_t)e->code);
	buf_put(b, e->text, strlen(e->text));
}

void wire_get_error(const uint8_t *bytes, size_t len, struct err *ret)
{
	uint32_t code = len >= 4 ? get_u32(bytes) : 0;

	ret->code = code > 0 && code < 4096 ? (int)code : EPROTO;
	if (len > 4)
		str_printable(ret->text, sizeof(ret->text), (const char *)bytes + 4, len - 4);
	else
		snprintf(ret->text, sizeof(ret->text), "an error without words");
}
