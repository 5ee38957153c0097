/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs the pure handshake over a client's bytes, cut in several ways, with a small world of
 * exports: "disk" (the default one), "ro" (without description), "gone" (listed, but its lookup
 * is refused) and as many "e0", "e1" ... as wanted.
 */
#ifndef TESTS_LIB_SESSION_H
#define TESTS_LIB_SESSION_H

#include "negotiate.h"
#include "rnd.h"

enum { SESSION_ID_DISK = 1, SESSION_ID_RO = 2, SESSION_ID_GONE = 3, SESSION_ID_MANY = 100 };

#define SESSION_SIZE 1099511628288ULL /* of "disk": 2^40 + 512 bytes */

struct session_world {
	bool shutting_down;
	bool no_default; /* no export under the empty name */
	bool nothing;    /* not even the fixed exports */
	size_t many;     /* e0, e1 ... */
};

enum session_cut { SESSION_WHOLE, SESSION_BYTES, SESSION_RANDOM, SESSION_WANT, SESSION_CUTS };

struct session {
	struct buf out;           /* all replies, without the greeting */
	size_t used;              /* bytes of the client that were taken */
	enum neg_verdict verdict; /* at the end; never NEG_LOOKUP */
	struct features features; /* on NEG_GO */
	uint32_t id;              /* of the export, on NEG_GO */
	bool orderly;             /* on NEG_CLOSE */
	size_t most_memory;       /* largest input buffer seen, bytes */
};

struct neg_env session_env(const struct session_world *world);
const struct export_facts *session_facts(uint32_t id);

/* Feeds the bytes in the given cut. RND may be NULL but for SESSION_RANDOM. */
void session_run(struct session *s, const struct session_world *world, const uint8_t *in,
	size_t len, enum session_cut cut, struct rnd *rnd);
void session_done(struct session *s);

bool session_equal(const struct session *a, const struct session *b);

/* "MORE", "GO 1 structured", "GO 1 structured, 5 left", "CLOSE" (orderly) or "CLOSE!". */
void session_end_text(const struct session *s, size_t len, char *out, size_t room);

#endif
