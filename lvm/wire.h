/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What two lvm_copy say to each other over ssh. Pure.
 *
 * A frame is type, length (32 bits each, network order) and so many bytes. The side that was
 * started by a person speaks first:
 *
 *	HELLO				-> HELLO
 *	READ options, spec		-> SOURCE head
 *	GET piece (known hash)		-> CHUNK piece		any number, ahead of the answers
 *	FINISH				-> OK			the source did not change
 *
 *	HELLO				-> HELLO
 *	WRITE options, specs, head	-> READY first chunk
 *	OLD piece			-> HAS piece (its hash)	any number
 *	PUT piece			no answer, in order
 *	COMMIT				-> RESULT totals
 *
 * Answers come in the order of questions. ERROR may come instead of any, and ends the session.
 */
#ifndef LVM_WIRE_H
#define LVM_WIRE_H

#include "buf.h"
#include "manifest.h"
#include "target.h"

enum wire_type {
	WIRE_HELLO = 1,
	WIRE_READ,
	WIRE_SOURCE,
	WIRE_GET,
	WIRE_CHUNK,
	WIRE_FINISH,
	WIRE_OK,
	WIRE_WRITE,
	WIRE_READY,
	WIRE_OLD,
	WIRE_HAS,
	WIRE_PUT,
	WIRE_COMMIT,
	WIRE_RESULT,
	WIRE_ERROR,
};

enum {
	WIRE_HEADER = 8,
	WIRE_PIECE = 8 + 4 + 4 + CODEC_HASH,
	WIRE_MAX = MANIFEST_CHUNK_MAX + MANIFEST_CHUNK_MAX / 64 + 16384, /* bytes of a frame */
};

/* GET, CHUNK, OLD, HAS, PUT. */
enum {
	WIRE_KNOWN = 1,  /* hash is one that is known (GET), or there (HAS) */
	WIRE_SAME = 2,   /* the target has it: no bytes */
	WIRE_ZERO = 4,   /* all zeros: no bytes */
	WIRE_PACKED = 8, /* bytes are as stored */
	WIRE_CHECK = 16, /* GET: it is read and checked, and answered by SAME */
};
struct wire_piece {
	uint64_t index;
	uint32_t len; /* of the chunk */
	uint32_t flags;
	uint8_t hash[CODEC_HASH];
	const uint8_t *bytes; /* in the frame */
	size_t bytes_len;
};

/* READ, WRITE. */
enum {
	WIRE_RESTORE = 1, /* WRITE: head.identity is that of a copy */
	WIRE_INCREMENTAL = 2,
	WIRE_TRUST = 4,
	WIRE_RESUME = 8,
	WIRE_READBACK = 16,
	WIRE_DRY_RUN = 32,
	WIRE_PREPARE = 64, /* the LV alone */
};
struct wire_open {
	uint32_t flags;
	uint32_t number; /* READ: chunk size or 0; WRITE: threads */
	char spec[SPEC_TEXT_MAX];
	char source[SPEC_TEXT_MAX]; /* WRITE: the source, if it is on the same host; or "" */
	struct manifest_head head;  /* WRITE */
};

/* Payloads. Each put appends; each get is 0 or -EBADMSG. */
void wire_put_hello(struct buf *b);
bool wire_is_hello(const uint8_t *bytes, size_t len);
void wire_put_open(struct buf *b, const struct wire_open *o, bool with_head);
int wire_get_open(const uint8_t *bytes, size_t len, bool with_head, struct wire_open *ret);
/* Without the bytes, which the caller appends. */
void wire_put_piece(struct buf *b, const struct wire_piece *p);
int wire_get_piece(const uint8_t *bytes, size_t len, struct wire_piece *ret);
void wire_put_result(struct buf *b, const struct target_result *r);
int wire_get_result(const uint8_t *bytes, size_t len, struct target_result *ret);
void wire_put_error(struct buf *b, const struct err *e);
/* Always an error: if it cannot be read, that. Control characters are escaped. */
void wire_get_error(const uint8_t *bytes, size_t len, struct err *ret);

#endif
