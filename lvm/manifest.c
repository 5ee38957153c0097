/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes of a manifest; see manifest.h. Pure. What is read may come from a disk that has rotted or
 * from another host: each length is checked before use, and texts end in a zero byte.
 */
#include "manifest.h"

#include "util.h"

#include <errno.h>
#include <string.h>

#define HEAD_MAGIC    "XNBDCPY2"
#define TRAILER_MAGIC "XNBDEND1"

enum {
	MAGIC = 8,
	HEAD_FIXED = MAGIC + 4 + 4 + 8 + 8 + 4 + 4 + 2 + 2 + 2,
	FLAG_STABLE = 1,
	FLAG_READBACK = 1,
};
static const uint32_t entry_zero = 0x80000000;

uint64_t manifest_chunks(const struct manifest_head *h)
{
	return h->size / h->chunk_size + (h->size % h->chunk_size != 0);
}

size_t manifest_chunk_len(const struct manifest_head *h, uint64_t index)
{
	uint64_t at = index * h->chunk_size;

	return at >= h->size ? 0 : (size_t)MIN_OF(h->size - at, (uint64_t)h->chunk_size);
}

int manifest_head_check(const struct manifest_head *h, struct err *err)
{
	if (!is_power_of_2(h->chunk_size) || h->chunk_size < MANIFEST_CHUNK_MIN ||
		h->chunk_size > MANIFEST_CHUNK_MAX)
		return err_set(err, EINVAL, "chunks of %u bytes: a power of 2 from 64K to 16M",
			h->chunk_size);
	if (h->size > INT64_MAX || manifest_chunks(h) > MANIFEST_CHUNKS_MAX)
		return err_set(err, EINVAL,
			"%llu bytes are more than %d chunks: give larger chunks by --chunk",
			(unsigned long long)h->size, MANIFEST_CHUNKS_MAX);
	return 0;
}

bool manifest_head_equal(const struct manifest_head *a, const struct manifest_head *b)
{
	return a->size == b->size && a->chunk_size == b->chunk_size && a->codec == b->codec &&
		strcmp(a->identity, b->identity) == 0;
}

static void put_hash(struct buf *b, size_t from)
{
	uint8_t hash[CODEC_HASH];

	if (buf_failed(b) || codec_hash(b->data + from, b->end - from, hash) < 0)
		b->failed = true;
	else
		buf_put(b, hash, sizeof(hash));
}

void manifest_put_head(struct buf *b, const struct manifest_head *h)
{
	size_t from = b->end, identity = strlen(h->identity), source = strlen(h->source);
	size_t target = strlen(h->target);

	buf_put(b, HEAD_MAGIC, MAGIC);
	buf_put_u32(b, (uint32_t)(HEAD_FIXED + identity + source + target + CODEC_HASH));
	buf_put_u32(b, h->chunk_size);
	buf_put_u64(b, h->size);
	buf_put_u64(b, h->created);
	buf_put_u32(b, (uint32_t)h->codec);
	buf_put_u32(b, h->stable ? FLAG_STABLE : 0);
	buf_put_u16(b, (uint16_t)identity);
	buf_put_u16(b, (uint16_t)source);
	buf_put_u16(b, (uint16_t)target);
	buf_put(b, h->identity, identity);
	buf_put(b, h->source, source);
	buf_put(b, h->target, target);
	put_hash(b, from);
}

void manifest_put_entry(struct buf *b, const struct manifest_entry *e)
{
	buf_put(b, e->hash, sizeof(e->hash));
	buf_put_u32(b, e->stored | (e->zero ? entry_zero : 0));
}

void manifest_put_trailer(struct buf *b, const struct manifest_trailer *t)
{
	buf_put(b, TRAILER_MAGIC, MAGIC);
	buf_put_u64(b, t->chunks);
	buf_put_u64(b, t->zeros);
	buf_put_u64(b, t->stored);
	buf_put_u64(b, t->completed);
	buf_put_u64(b, 0);
	buf_put_u64(b, t->readback ? FLAG_READBACK : 0);
}

bool manifest_is_one(const uint8_t *bytes, size_t len)
{
	return memcmp(bytes, HEAD_MAGIC, MIN_OF(len, (size_t)MAGIC - 1)) == 0;
}

static bool has_zero_byte(const uint8_t *bytes, size_t len)
{
	return memchr(bytes, 0, len) != NULL;
}

int manifest_get_head(const uint8_t *bytes, size_t len, struct manifest_head *ret, size_t *ret_len)
{
	struct manifest_head h = {0};
	uint8_t hash[CODEC_HASH];
	size_t whole, identity, source, target;

	if (len < HEAD_FIXED || memcmp(bytes, HEAD_MAGIC, MAGIC) != 0)
		return -EBADMSG;
	whole = get_u32(bytes + 8);
	identity = get_u16(bytes + HEAD_FIXED - 6);
	source = get_u16(bytes + HEAD_FIXED - 4);
	target = get_u16(bytes + HEAD_FIXED - 2);
	if (identity >= sizeof(h.identity) || source >= sizeof(h.source) ||
		target >= sizeof(h.target) ||
		whole != HEAD_FIXED + identity + source + target + CODEC_HASH || whole > len)
		return -EBADMSG;
	if (codec_hash(bytes, whole - CODEC_HASH, hash) < 0 ||
		memcmp(hash, bytes + whole - CODEC_HASH, CODEC_HASH) != 0 ||
		has_zero_byte(bytes + HEAD_FIXED, identity + source + target))
		return -EBADMSG;
	h.chunk_size = get_u32(bytes + 12);
	h.size = get_u64(bytes + 16);
	h.created = get_u64(bytes + 24);
	if (get_u32(bytes + 32) >= CODEC_KINDS)
		return -EBADMSG;
	h.codec = (enum codec_kind)get_u32(bytes + 32);
	h.stable = get_u32(bytes + 36) & FLAG_STABLE;
	memcpy(h.identity, bytes + HEAD_FIXED, identity);
	memcpy(h.source, bytes + HEAD_FIXED + identity, source);
	memcpy(h.target, bytes + HEAD_FIXED + identity + source, target);
	if (manifest_head_check(&h, NULL) < 0)
		return -EBADMSG;
	*ret = h;
	*ret_len = whole;
	return 0;
}

int manifest_get_entry(const uint8_t *bytes, uint32_t chunk_size, struct manifest_entry *ret)
{
	uint32_t stored = get_u32(bytes + CODEC_HASH);

	/* What cannot be compressed becomes a little longer. */
	if ((stored & ~entry_zero) > chunk_size + chunk_size / 64 + 1024)
		return -EBADMSG;
	memcpy(ret->hash, bytes, CODEC_HASH);
	ret->stored = stored & ~entry_zero;
	ret->zero = stored & entry_zero;
	return 0;
}

int manifest_get_trailer(const uint8_t *bytes, struct manifest_trailer *ret)
{
	if (memcmp(bytes, TRAILER_MAGIC, MAGIC) != 0)
		return -EBADMSG;
	ret->chunks = get_u64(bytes + 8);
	ret->zeros = get_u64(bytes + 16);
	ret->stored = get_u64(bytes + 24);
	ret->completed = get_u64(bytes + 32);
	ret->readback = get_u64(bytes + 48) & FLAG_READBACK;
	memcpy(ret->digest, bytes + 56, CODEC_HASH);
	return 0;
}
