/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A storage says where the bytes of an export live; the engine moves them (HACKING.md, "the
 * storage idea"). A kind of storage is a table of operations and a struct that begins with
 * `struct storage`. All lanes of a worker share one storage: every operation is thread-safe.
 *
 * map(), prepare(), commit(), vouched() and release() never block and run in a lane. The others may
 * block and run in a thread.
 * Ranges are inside [0, facts.size) and not empty; the request check saw to that. Of a storage that
 * can be resized the size is the main thread's; a connection knows what its client was told, and
 * may ask for what is gone since.
 */
#ifndef SERVER_STORAGE_H
#define SERVER_STORAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "export.h"

struct request;
struct storage;

enum piece_kind {
	PIECE_DATA,   /* bytes at `offset` of `fd` */
	PIECE_ZERO,   /* reads as zeros, nothing is stored */
	PIECE_ABSENT, /* not here before prepare() */
};

struct piece {
	enum piece_kind kind;
	int fd;
	unsigned io_flags; /* IO_INLINE, IO_MEMORY, IO_BLOCKED, IO_WINDOW: see engine.h */
	uint64_t offset;   /* in fd */
	/* Where the bytes are mapped, to ask mincore(2) and for nothing else; NULL: cannot tell. */
	const uint8_t *probe;
	uint64_t length;
	const struct storage *owner; /* of fd: whose discards concern it */
};

/* A run of one state, for BLOCK_STATUS. */
struct extent {
	uint64_t length;
	uint32_t state; /* NBD_STATE_* */
};

enum { STORAGE_NO_HOLE = 1 << 0, STORAGE_FAST_ZERO = 1 << 1 };

struct storage_ops {
	const char *kind;
	/*
	 * Where [offset, offset + length) is, from its start: at least one piece, at most MAX,
	 * without gaps, together no longer than LENGTH. FOR_WRITE: where it shall go.
	 */
	size_t (*map)(struct storage *st, bool for_write, uint64_t offset, uint64_t length,
		struct piece *pieces, size_t max);
	/*
	 * Makes the range ready for this request. 0 = ready, -errno = cannot, 1 = not yet:
	 * exec_wake() will be called, and then it is asked again. NULL = always ready.
	 */
	int (*prepare)(struct storage *st, struct request *rq);
	/*
	 * Data of a WRITE is in place: remembers it. 0, -errno, or 1: exec_committed() follows in
	 * the request's lane. NULL = nothing to remember.
	 */
	int (*commit)(struct storage *st, struct request *rq);
	/* For a WRITE with FUA whose data is durable: is it so for what vouches for it? Else
	 * flush() is called. Never waits. NULL = yes. */
	bool (*vouched)(struct storage *st, uint64_t offset, uint64_t length);
	/* A request that was prepared is over, whatever its outcome. NULL = nothing to do. */
	void (*release)(struct storage *st, struct request *rq);
	/* May do nothing; never touches a byte outside. */
	int (*discard)(struct storage *st, uint64_t offset, uint64_t length);
	/* Afterwards the range reads as zeros. -EOPNOTSUPP only with STORAGE_FAST_ZERO, data
	 * unchanged. */
	int (*zero)(struct storage *st, uint64_t offset, uint64_t length, unsigned flags);
	/* All writes done before the call are durable after it; an error stays: later calls fail
	 * too. */
	int (*flush)(struct storage *st);
	/* Starts reading ahead. */
	int (*cache)(struct storage *st, uint64_t offset, uint64_t length);
	/* At most MAX runs from OFFSET, adjacent ones different. Returns their number or -errno. */
	int (*extents)(struct storage *st, uint64_t offset, uint64_t length, struct extent *out,
		size_t max);
	/* Requests that wait for something far away fail, now and from now on. NULL = none do. */
	void (*interrupt)(struct storage *st);
	/* A storage for one more client alone; it is closed before this one is. NULL = all clients
	 * share this one. May block for a moment; NULL with ERR. */
	struct storage *(*for_client)(struct storage *st, struct err *err);
	/* Looks how many bytes there are by now; 0 or -errno. NULL = the size cannot change. */
	int (*look)(struct storage *st, uint64_t *ret_size);
	/* `facts.size` is about to become SIZE, as look() has found. Never blocks; from one thread.
	 * NULL without look(). */
	void (*resize)(struct storage *st, uint64_t size);
	/* A descriptor that no longer means what it did when this is closed: -1 = none. */
	int (*own_fd)(struct storage *st);
	void (*close)(struct storage *st);
};

struct storage {
	const struct storage_ops *ops;
	const char *_Atomic mode; /* for people; NULL = ops->kind */
	struct export_facts facts;
	bool in_place; /* a read that map() answers with one piece of DATA needs no prepare(): it
			* can go by splice(2) or through a window */
	bool forgets;  /* nothing of it survives us: writes need not be durable */
	_Atomic unsigned generation; /* changes after each discard and zero of its own file */
	_Atomic unsigned discarding; /* such calls under way */
};

enum { FILE_READONLY = 1 << 0, FILE_DIRECT = 1 << 1 /* past the page cache, O_DIRECT */ };

static inline const char *storage_mode(const struct storage *st)
{
	return st->mode ? st->mode : st->ops->kind;
}

/* file.c: a regular file or block device, opened by export_open(). HOW: FILE_*. NULL with ERR
 * filled. */
struct storage *file_open(const char *path, unsigned how, struct err *err);

#endif
