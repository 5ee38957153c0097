/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine moves bytes between memory and files for one lane, without blocking it.
 *
 * What can be done at once (page cache hits, see IO_INLINE) is done inside engine_submit(). The
 * rest goes to io_uring, or to threads where io_uring is not to be had; both are behind
 * `struct engine_ops`. Blocking calls (fdatasync, fallocate, SEEK_HOLE ...) always go to threads.
 */
#ifndef SERVER_ENGINE_H
#define SERVER_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "reactor.h"

enum io_op {
	IO_READ,
	IO_WRITE,
	IO_SPLICE, /* file to pipe by reference; `pipe` must have room for all of it */
	IO_CALL,
};

enum {
	IO_DSYNC = 1 << 0,   /* the write is durable when done (RWF_DSYNC) */
	IO_INLINE = 1 << 1,  /* the file may be tried without waiting (RWF_NOWAIT) */
	IO_MEMORY = 1 << 2,  /* the file is memory (tmpfs): it never waits */
	IO_WINDOW = 1 << 3,  /* the file may be seen through a window (windows.h) */
	IO_BLOCKED = 1 << 4, /* read and write calls would wait for a lock now: only threads may */
};

/* From there on an inline copy would hold up the lane's other clients for too long. */
enum { IO_INLINE_MAX = 256 * 1024 };

struct io {
	enum io_op op;
	unsigned flags;
	int fd;
	uint8_t *buf;
	int pipe;             /* IO_SPLICE: its write end */
	const uint8_t *probe; /* reads: see struct piece */
	size_t len;           /* bytes to move */
	uint64_t offset;      /* in the file */
	/* IO_CALL: runs in a thread of the pool and may block; returns 0 or -errno. */
	int (*call)(struct io *io);
	/* In the lane's thread, once, unless engine_submit() returned true. */
	void (*done)(struct io *io);
	void *owner;  /* for done */
	size_t moved; /* bytes moved so far */
	int result;   /* when done: 0 (all of len moved) or -errno; end of file is -EIO */
	struct engine *engine;
	struct reactor_task task; /* a thread's way back to the lane */
	struct io *next;          /* in the queue of threads or ring */
};

enum { ENGINE_FDS = 1024 };

struct io_threads;

struct engine_ops {
	const char *name;
	void (*queue)(struct engine *e, struct io *io); /* IO_READ or IO_WRITE; cannot fail */
	void (*close)(struct engine *e);
};

struct engine {
	const struct engine_ops *ops;
	struct reactor *reactor;
	struct io_threads *threads; /* shared by the lanes of a worker */
	void *private;              /* of the ops */
	/* Descriptors, modulo ENGINE_FDS, that cannot be written to without waiting. */
	uint64_t waiting[ENGINE_FDS / 64];
	unsigned in_flight; /* ios that are neither done inline nor finished yet */
};

enum engine_kind { ENGINE_AUTO, ENGINE_URING, ENGINE_THREADS };

/* ENGINE_AUTO: io_uring if the kernel lets us. -errno for ENGINE_URING where it does not. */
int engine_open(struct engine *e, enum engine_kind kind, struct reactor *r, struct io_threads *t);
/* Nothing may be in flight. */
void engine_close(struct engine *e);

/* True: done already, io->result is set and io->done is not called. False: io->done comes later. */
bool engine_submit(struct engine *e, struct io *io);

/* For the backends: IO is over. In the lane's thread. */
void engine_finish(struct io *io);

/*
 * For the backends: accounts for what a read or write call returned (bytes or -errno). True if the
 * io is over (io->result set), false if the rest must be queued again.
 */
bool engine_account(struct io *io, ssize_t returned);

/* One blocking attempt at the rest of IO; returns bytes or -errno. */
ssize_t engine_move(const struct io *io);

/* engine_uring.c; -errno if io_uring is not to be had. */
int engine_uring_open(struct engine *e);

/* engine_threads.c: a pool for all lanes, started lazily, threads end when idle. At most MAX
 * threads for reads and writes, and as many for what may hang: calls and durable writes. */
struct io_threads *io_threads_new(unsigned max);
/* Waits until every queued io is done. */
void io_threads_free(struct io_threads *t);
/* E = NULL: io->done is called in the thread. */
void io_threads_queue(struct io_threads *t, struct engine *e, struct io *io);

#endif
