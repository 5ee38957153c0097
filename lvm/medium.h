/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Something with bytes that can be read or written anywhere: a file, a block device, an NBD export.
 *
 * All of a request is done or it is an error: a short read is one. Reads may come from several
 * threads at once, all else from one.
 */
#ifndef LVM_MEDIUM_H
#define LVM_MEDIUM_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct medium;

struct medium_ops {
	int (*read)(struct medium *m, void *bytes, size_t len, uint64_t at, struct err *err);
	int (*write)(struct medium *m, const void *bytes, size_t len, uint64_t at, struct err *err);
	int (*zero)(struct medium *m, size_t len, uint64_t at, struct err *err);
	int (*sync)(struct medium *m, struct err *err);
	/* True: it reads as zeros, as nothing was ever written there. May be NULL. */
	bool (*is_hole)(struct medium *m, size_t len, uint64_t at);
	void (*free)(struct medium *m);
};

struct medium {
	const struct medium_ops *ops;
	uint64_t size; /* when it was opened */
};

/* CACHED: without O_DIRECT. */
enum medium_mode { MEDIUM_READ, MEDIUM_READ_CACHED, MEDIUM_WRITE };

/*
 * A file or a device that is open; FD becomes the medium's, in case of error as well. NAME is for
 * messages, kept. Uses O_DIRECT where offset, length and the file system allow it, and else keeps
 * the page cache as small as it was: who serves this host's clients needs it.
 */
struct medium *medium_fd_new(int fd, const char *name, enum medium_mode mode, struct err *err);

/* The export at URI. Writing: checks that it may be written. */
struct medium *medium_nbd_new(const char *uri, enum medium_mode mode, struct err *err);

static inline void medium_free(struct medium *m)
{
	if (m)
		m->ops->free(m);
}

#endif
