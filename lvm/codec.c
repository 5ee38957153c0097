/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compression by libzstd and zlib, SHA-256 by libcrypto; see codec.h. Called by several threads at
 * once: nothing is kept between calls.
 */
#include "codec.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

enum { GZIP_WINDOW = 15 + 16, GZIP_MEMORY = 8, GZIP_FRAME = 64, ZSTD_LEVEL = 3 };

const char *codec_name(enum codec_kind kind)
{
	static const char *const names[CODEC_KINDS] = {"none", "zstd", "gzip"};

	return names[kind];
}

size_t codec_room(enum codec_kind kind, size_t len)
{
	if (kind == CODEC_ZSTD)
		return ZSTD_compressBound(len);
	return kind == CODEC_GZIP ? compressBound(len) + GZIP_FRAME : len;
}

size_t codec_room_most(size_t len)
{
	size_t zstd = codec_room(CODEC_ZSTD, len), gzip = codec_room(CODEC_GZIP, len);

	return zstd > gzip ? zstd : gzip;
}

static int pack_gzip(
	int level, const void *bytes, size_t len, void *out, size_t room, size_t *ret_len)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)bytes, .avail_in = (uInt)len, .next_out = out};
	int ret;

	z.avail_out = (uInt)room;
	if (deflateInit2(&z, level ? level : Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW,
		    GZIP_MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	ret = deflate(&z, Z_FINISH);
	*ret_len = room - z.avail_out;
	deflateEnd(&z);
	return ret == Z_STREAM_END ? 0 : -EIO;
}

int codec_pack(enum codec_kind kind, int level, const void *bytes, size_t len, void *out,
	size_t room, size_t *ret_len)
{
	size_t n;

	if (kind == CODEC_GZIP)
		return pack_gzip(level, bytes, len, out, room, ret_len);
	if (kind != CODEC_ZSTD)
		return -EINVAL;
	n = ZSTD_compress(out, room, bytes, len, level ? level : ZSTD_LEVEL);
	if (ZSTD_isError(n))
		return -EIO;
	*ret_len = n;
	return 0;
}

static int unpack_gzip(const void *bytes, size_t len, void *out, size_t room)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)bytes, .avail_in = (uInt)len, .next_out = out};
	int ret;

	z.avail_out = (uInt)room;
	if (inflateInit2(&z, GZIP_WINDOW) != Z_OK)
		return -ENOMEM;
	ret = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	return ret == Z_STREAM_END && z.avail_in == 0 && z.avail_out == 0 ? 0 : -EBADMSG;
}

int codec_unpack(enum codec_kind kind, const void *bytes, size_t len, void *out, size_t room)
{
	if (kind == CODEC_GZIP)
		return unpack_gzip(bytes, len, out, room);
	if (kind != CODEC_ZSTD)
		return -EINVAL;
	/* One frame and no more: ZSTD_decompress() would go on with what is behind it. */
	if (ZSTD_findFrameCompressedSize(bytes, len) != len)
		return -EBADMSG;
	return ZSTD_decompress(out, room, bytes, len) == room ? 0 : -EBADMSG;
}

int codec_hash(const void *bytes, size_t len, uint8_t hash[CODEC_HASH])
{
	return EVP_Digest(bytes, len, hash, NULL, EVP_sha256(), NULL) == 1 ? 0 : -EIO;
}

void codec_hex(const uint8_t hash[CODEC_HASH], char out[CODEC_HEX])
{
	for (size_t i = 0; i < CODEC_HASH; i++)
		sprintf(out + 2 * i, "%02x", hash[i]);
}

bool codec_is_zero(const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	/* Each byte equals the next, and the first is zero: memcmp() is the fastest loop there is.
	 */
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}
