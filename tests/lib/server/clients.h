/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A lane with clients, in a test's own thread: requests go in by socket pairs, replies come back,
 * the lane's reactor turns when the test says so. What goes wrong ends the test program.
 */
#ifndef TESTS_LIB_SERVER_CLIENTS_H
#define TESTS_LIB_SERVER_CLIENTS_H

#include "conn.h"
#include "lane.h"

enum { CLIENTS = 4, CLIENTS_ASKED = 4096, CLIENTS_IN_BYTES = 1 << 22 };

struct clients_asked {
	uint8_t *into; /* READ: where its data goes */
	size_t length;
	bool done;
	int error; /* errno of its reply */
};

struct clients {
	struct lane lane;
	struct io_threads *threads;
	struct conn *conns[CLIENTS]; /* number = id; NULL = has ended */
	struct clients_peer {
		int fd;
		uint8_t *in; /* received, not taken yet: at most CLIENTS_IN_BYTES */
		size_t in_len;
	} peers[CLIENTS];
	struct clients_asked asked[CLIENTS_ASKED]; /* by cookie */
	unsigned count, ended;
};

/* CLIENTS clients of ST, by simple replies. */
void clients_init(struct clients *c, struct storage *st);
/* Kills all and waits until they have ended; MEANWHILE (NULL: nothing) is called again and again.
 */
void clients_end(struct clients *c, void (*meanwhile)(void));
void clients_done(struct clients *c);

/* A few turns of the lane; replies are taken. */
void clients_turn(struct clients *c);

/* Sends a request and turns. PAYLOAD of a WRITE; INTO: where a READ's data goes. Its cookie. */
unsigned clients_ask(struct clients *c, unsigned id, const struct nbd_request *nbd,
	const uint8_t *payload, uint8_t *into);
/* Turns; no reply yet? */
bool clients_is_open(struct clients *c, unsigned cookie);
/* Waits for its reply and returns the error of it. */
int clients_wait(struct clients *c, unsigned cookie);

#endif
