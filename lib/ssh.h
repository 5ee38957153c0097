/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A command on another host, over SSH: what it is told, what it says, how it ended. The address is
 * literal, the host's key is compared before we say who we are, and algorithms that are weak are
 * not offered.
 *
 * Every call blocks until a deadline on the monotonic clock and then fails with -ETIMEDOUT; what
 * was under way is not taken up again, so that only ssh_close() makes sense after it. One thread
 * uses a struct ssh; in programs with an event loop that is a process or thread of its own.
 *
 * The channel is half-duplex: while ssh_write() waits, nobody reads. The other side may have said
 * SSH_WINDOW bytes by then (stdout and stderr together), which are kept; if its command means to
 * say more before it reads on, both wait for each other until the deadline. So a protocol over it
 * has turns: who sends much is not answered before the end. Within a turn any amount passes, with
 * memory for one window.
 */
#ifndef LIB_SSH_H
#define LIB_SSH_H

#include "err.h"

#include <libssh2.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { SSH_WINDOW = LIBSSH2_CHANNEL_WINDOW_DEFAULT /* bytes */ };

/* Stays as long as the struct ssh. */
struct ssh_target {
	const char *address; /* IPv4 or IPv6, not a name */
	uint64_t port;
	const char *source;      /* address to connect from; NULL = any */
	const char *user, *key;  /* text of the private key, ed25519 or ECDSA, without passphrase */
	const char *key_file;    /* where that was, for messages */
	const uint8_t *host_key; /* the only one that is accepted, as on the wire (ssh_key.h) */
	size_t host_key_len;
	const char *command; /* asked for; if the host forces one on our key, that one runs */
};

struct ssh {
	const struct ssh_target *target;
	/* What is being done, for who waits for us. */
	void (*phase)(void *arg, const char *text);
	void *arg;
	/* Our own. */
	uint64_t until;
	int fd;
	LIBSSH2_SESSION *session;
	LIBSSH2_CHANNEL *channel;
};

/*
 * With target, phase and arg set: connects, logs in, starts the command. UNTIL, of clock_ms(), is
 * the deadline of this and of all calls that follow. On failure ERR is one line for people;
 * -EKEYREJECTED: it is another host, -EACCES: it does not take our key. ssh_close() is due in any
 * case.
 */
int ssh_open(struct ssh *s, uint64_t until, struct err *err);
/* Cuts the connection without a word to the other side, which might not listen; does not wait. */
void ssh_close(struct ssh *s);

/* Another deadline for the calls that follow. */
void ssh_limit(struct ssh *s, uint64_t until);

/* All of it, or -errno: -ETIMEDOUT, -ECONNRESET, -ENOMEM. How much of it left is not known then. */
int ssh_write(struct ssh *s, const void *bytes, size_t len);
/* Nothing more will be written: the command reads its end of file. */
int ssh_write_end(struct ssh *s);
/* Some bytes, 0: the command's output is at its end. Else as above: a connection that was cut is
 * no end. */
ssize_t ssh_read(struct ssh *s, void *bytes, size_t room);
/* After ssh_read() said 0: waits for the command's end. Its exit status, 0 to 255; -ECHILD: a
 * signal ended it. A host need not say a status, and then it is 0: success that matters is said
 * in the output. */
int ssh_status(struct ssh *s);
/* The first line of its stderr that is there, printable; "" = none. Does not wait. */
void ssh_complaint(struct ssh *s, char *out, size_t room);

#endif
