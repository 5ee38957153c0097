/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A lobby in a test's hands: the exports of session.h, a clock moved by hand, clients over real
 * sockets, and counts of what its callbacks were called for. A program has one at a time.
 */
#ifndef TESTS_LIB_HALL_H
#define TESTS_LIB_HALL_H

#include "lobby.h"
#include "session.h"
#include "temp.h"

enum { HALL_MAX = 4 }; /* handshakes at once */

struct hall {
	struct temp temp;
	struct reactor reactor;
	struct session_world world;
	struct lobby lobby;
	uint64_t start; /* ms, of the clock */
	bool later;     /* lookups are answered by hall_answer(), not in the callback */
	bool leave;     /* clients that enter are not taken */
	unsigned lookups, entered, left;
	uint64_t last_lookup, last_left; /* ids of clients */
	int fd;                          /* of the last client taken */
	unsigned lines;                  /* of the log, warnings and errors */
	unsigned fds_before;
};

extern struct hall hall;
extern const struct lobby_ops hall_ops;

/* cmocka's; the tear-down finds descriptors and timers that are left. */
int hall_set_up(void **state);
int hall_tear_down(void **state);

void hall_answer(struct lobby_client *c);

/* Turns until COUNTER or the number of clients is WANT, a few seconds at most. */
void hall_until(const unsigned *counter, unsigned want);
void hall_until_count(size_t want);

/* The client's end of a connection: admitted, or over the unix socket "sock". */
int hall_admit(void);
void hall_listen(void);
int hall_connect(void);

void hall_send(int fd, const char *script);

/* The greeting and these replies are there for the client. */
void hall_expect(int fd, const char *want);
/* The server has closed; what it sent before does not count. Closes FD. */
void hall_expect_closed(int fd);
void hall_expect_open(int fd);

#endif
