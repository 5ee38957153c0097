/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NBD servers to be the origin of a test, real ones and two of our own: a relay that cuts
 * connections, and a server that answers reads wrongly.
 */
#ifndef TESTS_LIB_SERVER_ORIGINS_H
#define TESTS_LIB_SERVER_ORIGINS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* True if every PROGRAM (separated by spaces) is there. With CI=true it is an error if not. */
bool origins_have(const char *programs);

struct served {
	pid_t pid;
	char socket[128];
	char uri[256]; /* of the default export */
};

/*
 * Starts a server on the unix socket PATH and returns when it takes connections. COMMAND has its
 * arguments separated by '|', "SOCKET" stands for PATH.
 */
void origins_start(struct served *s, const char *path, const char *command);
/* As that, without waiting: for a server that ends after its first client. */
void origins_spawn(struct served *s, const char *path, const char *command);
void origins_signal(const struct served *s, int number);
/* Kills it at once. Fine if not running. */
void origins_end(struct served *s);

/* A TCP port of 127.0.0.1 nobody listens on just now. */
uint16_t origins_port(void);

/* What nbdkit's pattern plugin has at OFFSET. */
uint8_t origins_pattern(uint64_t offset);
bool origins_is_pattern(const uint8_t *bytes, uint64_t length, uint64_t offset);

enum fake_kind {
	FAKE_RELAY,    /* to another server; ends a connection after some bytes */
	FAKE_SILENCE,  /* says that a read was done, but sends no data */
	FAKE_SHUTDOWN, /* answers the first read with "shutting down", then is well */
	FAKE_STUCK,    /* never answers a read of block 0, others at once */
};

/* A server in a thread, one connection at a time. */
struct fake {
	enum fake_kind kind;
	struct served served; /* without a process */
	pthread_t thread;
	int listener;
	const char *target;                /* RELAY: socket */
	_Atomic uint64_t cut_min, cut_max; /* RELAY: bytes from the target; UINT64_MAX = all */
	_Atomic unsigned connections, reads;
	_Atomic bool stop;
};

enum { FAKE_BYTES = 1 << 20 };

/* Set `target` and cuts before. Its content is zeros. */
void origins_fake_start(struct fake *f, enum fake_kind kind, const char *path);
void origins_fake_end(struct fake *f);

#endif
