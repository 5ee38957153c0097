/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages between two processes of one binary over a SOCK_SEQPACKET pair: a type, a body, at
 * most one file descriptor. The kernel keeps the boundaries. Sending never blocks: what does not
 * fit waits in memory; receiving is by callback.
 */
#ifndef LIB_CHAN_H
#define LIB_CHAN_H

#include <stddef.h>
#include <stdint.h>

#include "reactor.h"

enum { CHAN_BODY_MAX = 16 * 1024 };

struct chan;
struct chan_pending;

struct chan_ops {
	/* FD is -1 or the callee's. BODY is aligned for any type and valid during the call. */
	void (*message)(struct chan *c, uint32_t type, const void *body, size_t len, int fd);
	/* The other side is gone; the callee calls chan_done(). */
	void (*closed)(struct chan *c);
};

struct chan {
	struct reactor *reactor;
	struct reactor_watch watch;
	const struct chan_ops *ops;
	struct chan_pending *first, **last; /* not sent yet */
	int fd;
	int burst; /* messages to look for in a turn: as many as came lately */
};

/* Both ends CLOEXEC and non-blocking. 0 or -errno. */
int chan_pair(int ret_fds[2]);

/* Takes FD. 0 or -errno. */
int chan_init(struct chan *c, struct reactor *r, int fd, const struct chan_ops *ops);
void chan_done(struct chan *c);

/*
 * Sends a message; takes FD (-1 = none), also on failure. 0, or -ENOMEM, -EPIPE ...: the message is
 * lost and the channel is of no more use (`closed` follows).
 */
int chan_send(struct chan *c, uint32_t type, const void *body, size_t len, int fd);

#endif
