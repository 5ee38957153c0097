/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A chunk's bytes in and out of their stored form, its hash, and whether it is all zeros. Pure but
 * for memory.
 *
 * Each chunk is a zstd frame or a gzip member of its own. One behind the other they are what
 * `zstd -d` and `gzip -d` read, and a single chunk can be read without those before it.
 */
#ifndef LVM_CODEC_H
#define LVM_CODEC_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum codec_kind { CODEC_NONE, CODEC_ZSTD, CODEC_GZIP, CODEC_KINDS };

enum { CODEC_HASH = 32 }; /* SHA-256 */

const char *codec_name(enum codec_kind kind);

/* Most bytes that LEN bytes may become. */
size_t codec_room(enum codec_kind kind, size_t len);
/* The same by any method. */
size_t codec_room_most(size_t len);

/* LEVEL 0: the method's own. *ret_len of OUT are used. 0 or -errno. */
int codec_pack(enum codec_kind kind, int level, const void *bytes, size_t len, void *out,
	size_t room, size_t *ret_len);

/* Must give exactly ROOM bytes and use all of LEN, else -EBADMSG. */
int codec_unpack(enum codec_kind kind, const void *bytes, size_t len, void *out, size_t room);

/* 0 or -EIO. */
int codec_hash(const void *bytes, size_t len, uint8_t hash[CODEC_HASH]);

/* As people see it. */
enum { CODEC_HEX = 2 * CODEC_HASH + 1 };
void codec_hex(const uint8_t hash[CODEC_HASH], char out[CODEC_HEX]);

/* Every byte is looked at. */
bool codec_is_zero(const void *bytes, size_t len);

#endif
