/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clients of a storage on which every request waits until the test lets it go on; the clock is
 * moved by hand. A program has one at a time.
 */
#ifndef TESTS_LIB_SERVER_WAITS_H
#define TESTS_LIB_SERVER_WAITS_H

#include "clients.h"

enum { WAITS_SIZE = 1 << 20, WAITS_MAX = 4096, WAITS_START_MS = 1000 * 1000 };

struct waits {
	struct clients clients;
	struct storage storage;
	struct request *running[WAITS_MAX]; /* in the order they were begun; NULL = has gone on */
	unsigned begun;
	bool open; /* none waits */
	uint64_t now;
};

extern struct waits waits;

/* cmocka's. */
int waits_set_up(void **state);
int waits_tear_down(void **state);

/* MS later; the lane takes some turns. */
void waits_later(uint64_t ms);
unsigned waits_ask(unsigned id, enum nbd_cmd type, uint64_t offset, size_t length);
/* Requests that wait go on; their replies are taken. */
void waits_let_go(void);
/* Was this cookie answered, with success? */
bool waits_is_done(unsigned cookie);
/* The server's side is shut down, all it sent was taken. */
bool waits_is_over(unsigned id);

#endif
