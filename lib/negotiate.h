/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The server's side of the NBD handshake, fixed newstyle, as a pure state machine: bytes in, bytes
 * and a verdict out. No socket, clock or log; memory only in its two bounded buffers.
 *
 *	neg_start(n, out)                      the greeting
 *	used = neg_feed(n, env, p, len, out)   until used == len or n->verdict changes
 *	  NEG_MORE    feed more; neg_want(n) says how many bytes it can use
 *	  NEG_LOOKUP  find the facts of export n->lookup_id, then neg_answer() or neg_refuse()
 *	  NEG_GO      send `out`; transmission begins, n->features and n->lookup_id are what counts
 *	  NEG_CLOSE   send `out`, then close; n->reason says why (NULL: an orderly end)
 *
 * It never takes more than neg_want() bytes, so nothing of the transmission phase is swallowed
 * when the driver never receives more. Cut in any way, the same bytes give the same result.
 *
 * Source: the NBD protocol, sections "Handshake", "Option types", "Metadata querying", and the
 * "extended headers" extension. TLS is refused with ERR_UNSUP for now.
 */
#ifndef LIB_NEGOTIATE_H
#define LIB_NEGOTIATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "export.h"
#include "feature.h"
#include "nbd.h"

enum {
	NEG_PAYLOAD_MAX = 64 * 1024, /* longest option read; longer ones are skipped and refused */
	NEG_OPTIONS_MAX = 10000,     /* options in one handshake */
	NEG_NO_EXPORT = 0,           /* no export has this id */
};

enum neg_verdict { NEG_MORE, NEG_LOOKUP, NEG_GO, NEG_CLOSE };

struct neg_item {
	const char *name;        /* UTF-8, ends in 0 */
	const char *description; /* NULL = none */
};

/* The exports as this client may see them. All calls are quick and change nothing. */
struct neg_env {
	void *ctx;
	bool shutting_down; /* options are answered with ERR_SHUTDOWN */
	/* WHO is that of the struct neg. An export that WHO may not use does not exist for it. */
	/* Id of the export called NAME ("" = the default one), or NEG_NO_EXPORT. */
	uint32_t (*find)(void *ctx, const void *who, const char *name, size_t len);
	/* The INDEXth export, with name = NULL if it is not for WHO; false behind the last. */
	bool (*at)(void *ctx, const void *who, size_t index, struct neg_item *ret);
	bool (*by_id)(void *ctx, uint32_t id, struct neg_item *ret);
};

struct neg {
	const void *who; /* the client, for the calls of the env; set behind neg_init() */
	enum neg_verdict verdict;
	enum { NEG_FLAGS, NEG_HEADER, NEG_PAYLOAD, NEG_SKIP, NEG_WAIT } state;
	bool fixed, no_zeroes;
	struct features features;         /* allocation: only valid once verdict is NEG_GO */
	uint32_t option;                  /* current option */
	uint32_t payload;                 /* its length in bytes */
	uint32_t skip;                    /* bytes of it still to be thrown away */
	unsigned options;                 /* options seen so far */
	struct buf in;                    /* the incomplete header or payload */
	uint32_t lookup_id;               /* export asked for by EXPORT_NAME, INFO or GO */
	bool want_name, want_description; /* of the current INFO or GO */
	uint64_t told;                    /* size of the export in the last answer, */
	bool told_readonly;               /* and whether it was read-only there */
	uint32_t context_export;          /* export that base:allocation was selected for */
	const char *reason;
};

void neg_init(struct neg *n);
void neg_done(struct neg *n);

void neg_start(struct neg *n, struct buf *out);
size_t neg_want(const struct neg *n);
size_t neg_feed(
	struct neg *n, const struct neg_env *env, const uint8_t *p, size_t len, struct buf *out);

/* True if the pending lookup ends the handshake (GO, EXPORT_NAME), false for INFO. */
bool neg_lookup_is_final(const struct neg *n);
/* The export can be served: sends its facts, verdict becomes NEG_GO, or NEG_MORE for INFO. */
void neg_answer(struct neg *n, const struct neg_env *env, const struct export_facts *facts,
	struct buf *out);
/* It cannot: REPLY is one of NBD_REP_ERR_*, TEXT says why. GO and INFO go on, EXPORT_NAME closes.
 */
void neg_refuse(struct neg *n, uint32_t reply, const char *text, struct buf *out);

/* The old handshake without names (152 bytes), for initrds that know nothing else. */
void neg_oldstyle(const struct export_facts *facts, struct buf *out);

#endif
