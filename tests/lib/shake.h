/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One handshake over a socket pair, with the exports of session.h, a clock moved by hand and the
 * test as the client. A program has one at a time.
 */
#ifndef TESTS_LIB_SHAKE_H
#define TESTS_LIB_SHAKE_H

#include "handshake.h"
#include "session.h"

enum { SHAKE_START_MS = 1000 };

struct shake {
	struct reactor reactor;
	struct session_world world;
	struct neg_env env;
	struct handshake h;
	int client;
	bool later; /* lookups are answered by shake_answer(), not in the callback */
	unsigned lookups;
	bool finished, go;
	int fd; /* taken on GO */
};

extern struct shake shake;

/* OLDSTYLE as of handshake_init(). */
void shake_begin(const struct export_facts *oldstyle);
void shake_end(void);

/* cmocka's set-up and tear-down. */
int shake_set_up(void **state);
int shake_tear_down(void **state);

void shake_answer(void);
/* Ops of a handshake that must not be called. */
extern const struct handshake_ops shake_ops;

void shake_send(const char *script);
/* What the server sent so far, rendered, is WANT; behind the greeting if there is one. */
void shake_expect(bool greeting, const char *want);

/* Moves the clock to MS after the start and lets a turn pass. */
void shake_at(uint64_t ms);

#endif
