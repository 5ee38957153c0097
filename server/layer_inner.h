/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between layer.c and layer_request.c alone; others see layer.h. All with the lock held. */
#ifndef SERVER_LAYER_INNER_H
#define SERVER_LAYER_INNER_H

#include "layer.h"
#include "util.h"

static inline struct layer *layer_of(struct storage *st)
{
	return container_of(st, struct layer, storage);
}

/* The blocks that bytes touch. */
struct claim layer_blocks(const struct layer *l, uint64_t offset, uint64_t length);

void layer_hold(struct layer *l, struct claim *c);
/* Those who waited for C are woken; ERROR: why it is no use, 0 = it may be. */
void layer_end_claim(struct layer *l, struct claim *c, int error);
bool layer_is_claimed(const struct layer *l, uint64_t first, uint64_t count);

/* RQ waits for claims in this range to end. Returns 1. */
int layer_wait(struct layer *l, struct request *rq, uint64_t first, uint64_t count, bool starved);
/* As layer_want() for C's blocks; the fills in *ret are to be started without the lock. */
int layer_want_locked(
	struct layer *l, struct request *rq, const struct claim *c, struct fill **ret);
/* Without the lock. */
void layer_start_fills(struct layer *l, struct fill *f);

#endif
