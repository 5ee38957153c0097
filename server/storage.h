/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A storage says where the bytes of an export live; the engine moves them (HACKING.md, "the
 * storage idea"). A kind of storage is a table of operations and a struct that begins with
 * `struct storage`. All lanes of a worker share one storage: every operation is thread-safe.
 *
 * map() and commit() never block and run in a lane. The others may block and run in a thread.
 * Ranges are inside [0, facts.size) and not empty; the request check saw to that.
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
	PIECE_DATA, /* bytes at `offset` of `fd` */
	PIECE_ZERO, /* reads as zeros, nothing is stored */
};

struct piece {
	enum piece_kind kind;
	int fd;
	unsigned io_flags; /* IO_INLINE, IO_MEMORY, IO_BLOCKED, IO_WINDOW: see engine.h */
	uint64_t offset;   /* in fd */
	/* Where the bytes are mapped, to ask mincore(2) and for nothing else; NULL: cannot tell. */
	const uint8_t *probe;
	uint64_t length;
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
	 * Makes the range ready for this request. 0 = ready, -errno = cannot, 1 =
	 * request_prepared() will be called later from the request's lane. NULL = always ready.
	 */
	int (*prepare)(struct storage *st, struct request *rq);
	/* Data of a write is in place. NULL = nothing to remember. */
	void (*commit)(struct storage *st, uint64_t offset, uint64_t length);
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
	void (*close)(struct storage *st);
};

struct storage {
	const struct storage_ops *ops;
	struct export_facts facts;
	bool in_place; /* map() for a read always gives one piece of DATA and needs no prepare():
			* such reads can go by splice(2) or through a window */
	_Atomic unsigned generation; /* changes after each discard and zero */
	_Atomic unsigned discarding; /* such calls under way */
};

enum { FILE_READONLY = 1 << 0, FILE_DIRECT = 1 << 1 /* past the page cache, O_DIRECT */ };

/* file.c: a regular file or block device, opened by export_open(). HOW: FILE_*. NULL with ERR
 * filled. */
struct storage *file_open(const char *path, unsigned how, struct err *err);

#endif
