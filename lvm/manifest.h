/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a copy consists of: the hash of each chunk, and of what source it is. Coding is pure; files
 * are manifest_file.h's.
 *
 *	head	magic, lengths, size, chunk size, compression, time, identity and name of the
 *		source, identity of the target, SHA-256 of the head
 *	entries	for each chunk in order: SHA-256 of its bytes, stored length, "all zeros"
 *	trailer	magic, totals, SHA-256 of all before it
 *
 * Integers are in network order. A manifest without a trailer is that of a copy not complete: its
 * entries say what was written, and a reader believes none of them without a look at the data.
 */
#ifndef LVM_MANIFEST_H
#define LVM_MANIFEST_H

#include "buf.h"
#include "codec.h"
#include "err.h"
#include "spec.h"

enum {
	MANIFEST_IDENTITY_MAX = 256,
	MANIFEST_ENTRY = CODEC_HASH + 4,
	MANIFEST_TRAILER = 88,
	MANIFEST_HEAD_MAX = 8192,
	MANIFEST_CHUNK_MIN = 64 * 1024,
	MANIFEST_CHUNK_MAX = 16 * 1024 * 1024,
	MANIFEST_CHUNKS_MAX = 1 << 25, /* 32 TiB of chunks of 1 MiB */
};

struct manifest_head {
	uint64_t size;       /* bytes of the source */
	uint32_t chunk_size; /* a power of 2 */
	enum codec_kind codec;
	bool stable;      /* the source cannot change: a snapshot, a file by its time, ... */
	uint64_t created; /* s since 1970 */
	char identity[MANIFEST_IDENTITY_MAX]; /* two that differ are not the same source */
	char source[SPEC_TEXT_MAX];           /* its name, for people */
	char target[MANIFEST_IDENTITY_MAX];   /* of the device the copy is on; "" = not known */
};

struct manifest_entry {
	uint8_t hash[CODEC_HASH];
	uint32_t stored; /* bytes in the copy: less than the chunk's if compressed */
	bool zero;
};

struct manifest_trailer {
	uint64_t chunks;
	uint64_t zeros;     /* chunks of them that are all zeros */
	uint64_t stored;    /* bytes of the copy */
	uint64_t completed; /* s since 1970 */
	bool readback;      /* all of it was read again and compared */
	uint8_t digest[CODEC_HASH];
};

/* How many chunks SIZE bytes are. */
uint64_t manifest_chunks(const struct manifest_head *h);
/* Bytes of the chunk INDEX: the last may be shorter. */
size_t manifest_chunk_len(const struct manifest_head *h, uint64_t index);

/* 0, or -EINVAL: size or chunk size are beyond what can be. */
int manifest_head_check(const struct manifest_head *h, struct err *err);

/* Same source, size, chunks and compression: may one copy go on where the other stopped? */
bool manifest_head_equal(const struct manifest_head *a, const struct manifest_head *b);

/* Appends to B. */
void manifest_put_head(struct buf *b, const struct manifest_head *h);
void manifest_put_entry(struct buf *b, const struct manifest_entry *e);
/* Without its digest, which is over this as well. */
void manifest_put_trailer(struct buf *b, const struct manifest_trailer *t);

/* Do BYTES begin as a manifest of any version does, as far as they go? */
bool manifest_is_one(const uint8_t *bytes, size_t len);
/* *ret_len of BYTES are the head. -EBADMSG: it is not one, or not whole. */
int manifest_get_head(const uint8_t *bytes, size_t len, struct manifest_head *ret, size_t *ret_len);
/* BYTES: MANIFEST_ENTRY of them. -EBADMSG: stored length out of range for CHUNK_SIZE. */
int manifest_get_entry(const uint8_t *bytes, uint32_t chunk_size, struct manifest_entry *ret);
/* BYTES: MANIFEST_TRAILER of them. */
int manifest_get_trailer(const uint8_t *bytes, struct manifest_trailer *ret);

#endif
