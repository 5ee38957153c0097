/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A request's way through a layer: what it has to wait for or to claim before it may run, and what
 * is remembered when its data is in place. Runs in lanes; the rules are in layer.h.
 */
#include "conn.h"
#include "exec.h"
#include "layer_inner.h"

#include <string.h>

static bool covers(const struct layer *l, uint64_t offset, uint64_t end, uint64_t block)
{
	return offset <= layer_offset(l, block) && end >= layer_offset(l, block + 1);
}

/* An absent block at an edge of the range that is not covered whole; false: there is none. */
static bool absent_edge(const struct layer *l, uint64_t offset, uint64_t length, struct claim *ret)
{
	struct claim c = layer_blocks(l, offset, length);
	uint64_t edges[2] = {c.first, c.first + c.count - 1};

	for (int i = 0; i < 2; i++) {
		if (!covers(l, offset, offset + length, edges[i]) &&
			!bitmap_test(&l->map.present, edges[i])) {
			*ret = (struct claim){.first = edges[i], .count = 1};
			return true;
		}
	}
	return false;
}

/* Is an absent block of C claimed? Those of present blocks do not matter any more. */
static bool must_wait(const struct layer *l, const struct claim *c)
{
	uint64_t pos = c->first, end = c->first + c->count;

	while (pos < end) {
		bool present;
		uint64_t count = bitmap_run(&l->map.present, pos, end - pos, &present);

		if (!present && layer_is_claimed(l, pos, count))
			return true;
		pos += count;
	}
	return false;
}

/* With the lock held. */
static int claim_blocks(struct layer *l, struct request *rq, const struct claim *c)
{
	if (bitmap_all(&l->map.present, c->first, c->count))
		return 0;
	if (must_wait(l, c))
		return layer_wait(l, rq, c->first, c->count, false);
	rq->claim = *c;
	layer_hold(l, &rq->claim);
	return 0;
}

/* What is overwritten whole. Without one: count 0. */
static struct claim whole_blocks(const struct layer *l, uint64_t offset, uint64_t length)
{
	struct claim c = layer_blocks(l, offset, length);

	if (!covers(l, offset, offset + length, c.first)) {
		c.first++;
		c.count--;
	}
	if (c.count > 0 && !covers(l, offset, offset + length, c.first + c.count - 1))
		c.count--;
	return c;
}

static int prepare_change(struct layer *l, struct request *rq, bool edges)
{
	struct claim c = layer_blocks(l, rq->nbd.offset, rq->nbd.length), edge;
	struct fill *fills = NULL;
	int ret;

	/* Before any byte of it is there, or a verify could take it for a fault. */
	blockmap_wrote(&l->map, c.first, c.count);
	if (bitmap_all(&l->map.present, c.first, c.count))
		return 0;
	pthread_mutex_lock(&l->lock);
	rq->waiter.error = edges ? rq->waiter.error : 0;
	if (edges && absent_edge(l, rq->nbd.offset, rq->nbd.length, &edge)) {
		ret = layer_want_locked(l, rq, &edge, &fills);
	} else {
		c = whole_blocks(l, rq->nbd.offset, rq->nbd.length);
		ret = c.count > 0 ? claim_blocks(l, rq, &c) : 0;
	}
	pthread_mutex_unlock(&l->lock);
	layer_start_fills(l, fills);
	return ret;
}

int layer_prepare(struct storage *st, struct request *rq)
{
	struct layer *l = layer_of(st);

	switch (rq->nbd.type) {
	case NBD_CMD_READ:
		return l->base ? 0 : layer_want(l, rq, rq->nbd.offset, rq->nbd.length);
	case NBD_CMD_CACHE:
		return l->base ? 0
			       : layer_want(l, rq, rq->nbd.offset,
					 MIN_OF(rq->nbd.length, (uint64_t)LAYER_CACHE_MAX));
	case NBD_CMD_WRITE:
	case NBD_CMD_WRITE_ZEROES:
		return prepare_change(l, rq, true);
	case NBD_CMD_TRIM:
		return prepare_change(l, rq, false);
	default:
		return 0;
	}
}

void layer_release(struct storage *st, struct request *rq)
{
	struct layer *l = layer_of(st);

	if (rq->claim.count == 0) /* not `link`: that is changed by its neighbours, too */
		return;
	pthread_mutex_lock(&l->lock);
	layer_end_claim(l, &rq->claim, 0);
	pthread_mutex_unlock(&l->lock);
	rq->claim.count = 0;
}

/* After a write: its blocks are present once the live file says so. */

static void live_written(struct io *io)
{
	struct request *rq = io->owner;
	struct layer *l = layer_of(rq->conn->storage);
	struct claim c = layer_blocks(l, rq->nbd.offset, rq->nbd.length);

	if (io->result == 0)
		blockmap_publish(&l->map, c.first, c.count);
	exec_committed(rq, io->result);
}

int layer_commit(struct storage *st, struct request *rq)
{
	struct layer *l = layer_of(st);
	struct claim c = layer_blocks(l, rq->nbd.offset, rq->nbd.length);
	struct io *io = &rq->ios[0];
	struct blockmap_live live;

	if (bitmap_all(&l->map.present, c.first, c.count))
		return 0;
	if (!blockmap_stage(&l->map, c.first, c.count, &live)) {
		blockmap_publish(&l->map, c.first, c.count);
		return 0;
	}
	*io = (struct io){.op = IO_WRITE,
		.flags = IO_INLINE,
		.fd = live.fd,
		.buf = (uint8_t *)(uintptr_t)live.bytes,
		.len = live.length,
		.offset = live.offset,
		.done = live_written,
		.owner = rq};
	if (!engine_submit(&rq->conn->lane->engine, io))
		return 1;
	if (io->result == 0)
		blockmap_publish(&l->map, c.first, c.count);
	return io->result;
}
