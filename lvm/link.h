/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A connection to the lvm_copy on another host: ssh(1) and frames (wire.h) through its pipes.
 *
 * Several threads may ask at once; each gets the answer to its own question. When the connection
 * fails, or the other side says ERROR, that is what everybody gets from then on.
 */
#ifndef LVM_LINK_H
#define LVM_LINK_H

#include "buf.h"
#include "err.h"
#include "link_ear.h"
#include "wire.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

struct link_options {
	const char *ssh_config; /* -F of ssh; NULL = the user's own */
	const char *program;    /* lvm_copy over there; NULL = "lvm_copy". A forced command wins */
	atomic_bool *stop;      /* ends whoever waits for the other side; NULL = never */
};

struct link {
	int in, out;
	pid_t pid; /* of ssh, -1 = none */
	struct link_ear ear;
	atomic_bool *stop; /* -EINTR for who waits */
	uint64_t idle_ms;  /* -ETIMEDOUT for who has read nothing for so long; 0 = never */
	const char *host;
	pthread_mutex_t sending, receiving;
	pthread_cond_t turned;
	uint64_t asked, answered; /* tickets: asked under `sending`, answered under `receiving` */
	struct err dead;          /* code 0 = it lives; under `receiving` */
};

/* Starts ssh and says hello. HOST must outlive it. NULL and ERR. */
struct link *link_new(const char *host, const struct link_options *options, struct err *err);

/* The far side's: on stdin and stdout. */
void link_init(struct link *l, int in, int out, const char *host);

/* One frame: HEAD and then BYTES. */
int link_send(struct link *l, enum wire_type type, const struct buf *head, const void *bytes,
	size_t len, struct err *err);
/* The next frame into B, which is emptied. -EPIPE: the other side has ended, between two frames. */
int link_receive(struct link *l, enum wire_type *ret_type, struct buf *b, struct err *err);

/* Sends a question and waits for its answer of type WANTED, in B. */
int link_ask(struct link *l, enum wire_type type, const struct buf *question, enum wire_type wanted,
	struct buf *b, struct err *err);

/* Says that there is no more, and waits for ssh: 0 if both it and the far side ended well. */
int link_close(struct link *l, struct err *err);
/* Ends ssh, so that whoever waits for the other side waits no longer. From any thread. */
void link_cut(struct link *l);
/* Frees it; ends ssh if it still runs. */
void link_free(struct link *l);

#endif
