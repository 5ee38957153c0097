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
	struct io io;
};

/* For a layer_ops.fill(): brings in F, which begins a struct copy_up, in one of the threads T. */
void copy_up_start(struct fill *f, struct storage *from, struct io_threads *t);

#endif
