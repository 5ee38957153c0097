/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One client in its handshake: feeds negotiate.h from a socket, with deadlines. Used by the
 * wrapper's negotiator and by a stand-alone xnbd-server.
 *
 * Deadlines: HANDSHAKE_OPTION_MS for each option, HANDSHAKE_STEPS times that for all. Replies are
 * sent completely before more is received, so a client that reads nothing costs one reply.
 */
#ifndef LIB_HANDSHAKE_H
#define LIB_HANDSHAKE_H

#include "negotiate.h"
#include "reactor.h"
#include "sock.h"

enum {
	HANDSHAKE_OPTION_MS = 10 * 1000,
	HANDSHAKE_STEPS = 12,
	HANDSHAKE_TOTAL_MS = HANDSHAKE_STEPS * HANDSHAKE_OPTION_MS
};

struct handshake;

struct handshake_ops {
	/*
	 * neg.lookup_id is wanted: call handshake_answer() or handshake_refuse(), now or later, and
	 * do not free H in here. The client may leave meanwhile: then `finished` comes first.
	 */
	void (*lookup)(struct handshake *h);
	/*
	 * The last call: on GO (go = true) h->fd is the callee's to take (set it to -1), all bytes
	 * of the handshake are sent. The callee frees H after handshake_done().
	 */
	void (*finished)(struct handshake *h, bool go);
};

struct handshake {
	struct reactor *reactor;
	const struct handshake_ops *ops;
	const struct neg_env *env;
	int fd;
	struct reactor_watch watch;
	struct reactor_timer deadline;
	uint64_t began;   /* ms */
	uint64_t step_ms; /* for each option */
	struct neg neg;
	struct buf out;
	bool looking;          /* a lookup is pending */
	bool calling;          /* inside ops->lookup */
	struct sock_peer peer; /* its `id` is `who` in the calls of the env */
};

/*
 * Takes FD (also on failure), whose PEER is known, and sends the greeting. OLDSTYLE non-NULL: sends
 * the old handshake for these facts instead and finishes with GO. 0 or -errno; ops are called from
 * the reactor only.
 */
int handshake_init(struct handshake *h, struct reactor *r, int fd, const struct sock_peer *peer,
	const struct handshake_ops *ops, const struct neg_env *env,
	const struct export_facts *oldstyle);
void handshake_done(struct handshake *h);

/* Other deadlines, from handshake_init() on: STEP_MS for each option. */
void handshake_set_timeout(struct handshake *h, uint64_t step_ms);

void handshake_answer(struct handshake *h, const struct export_facts *facts);
void handshake_refuse(struct handshake *h, uint32_t reply, const char *text);

#endif
