/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copy-on-write target: a base that is only read, and an overlay that takes the writes.
 *
 * Private: each client has an overlay of its own, a file without a name that is gone with the
 * client, or with us. Shared: one such overlay for all. Named: one that stays (FILE and
 * FILE.bitmap*, see blockmap.h), bound to the base it was made of.
 */
#ifndef SERVER_COW_H
#define SERVER_COW_H

#include "storage.h"

enum { COW_BLOCK_DEFAULT = 64 * 1024, COW_BLOCK_MIN = 4096, COW_BLOCK_MAX = 1024 * 1024 };

struct cow_config {
	const char *base;
	const char *
		dir; /* for overlays without a name; NULL = beside the base, /var/tmp for devices */
	const char *layer; /* FILE of a named overlay; NULL = none */
	unsigned block;    /* bytes, power of two */
	bool shared;       /* without `layer`: one for all clients */
	bool readonly;
};

/* NULL with ERR. A named overlay of another base, size or block is refused. */
struct storage *cow_open(const struct cow_config *config, struct err *err);

#endif
