/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fills a layer from another storage of this machine: the base of an overlay, or the live image of
 * a snapshot. Holes and zeros become holes.
 */
#ifndef SERVER_COPY_UP_H
#define SERVER_COPY_UP_H

#include "layer.h"

enum { COPY_UP_THREADS = 4 };

struct copy_up {
	struct fill fill;
	struct storage *from;
	_Atomic bool *clones;
	struct io io;
};

/*
 * For a layer_ops.fill(): brings in F, which begins a struct copy_up, in one of the threads T.
 * CLONES: blocks may be shared instead (FICLONERANGE); set to false when they cannot be. NULL = no.
 */
void copy_up_start(
	struct fill *f, struct storage *from, _Atomic bool *clones, struct io_threads *t);

/* Shares a range of two plain files. 0 or -errno. Blocks. */
int copy_up_clone(struct storage *from, struct storage *to, uint64_t offset, uint64_t length);

#endif
