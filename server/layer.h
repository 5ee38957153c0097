/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A layer is a sparse file in front of something else, with a map of the blocks it holds: the
 * overlay of a copy-on-write target (in front of its base), the cache of a proxy (in front of its
 * origin), a running snapshot (in front of the live image). Offsets are the same in all of them.
 *
 * A block that is present is read and written in the file, and stays present for ever; nothing is
 * asked and no lock taken. An absent block is either read from the base, where there is one, or
 * brought in first (a FILL). Whoever brings in absent blocks or overwrites them CLAIMS them until
 * they are present: others who need them wait. So a block is fetched once, and old data never
 * lands on new.
 *
 *	READ         base: nothing to do. No base: fills what is absent.
 *	WRITE, ZERO  fills absent blocks at the edges that are not covered whole, claims the others.
 *	TRIM         claims absent blocks covered whole; partial ones are left as they are.
 *	CACHE        fills, as READ without a base does.
 *
 * Claims are all or nothing, so nobody waits while holding one.
 */
#ifndef SERVER_LAYER_H
#define SERVER_LAYER_H

#include <pthread.h>

#include "blockmap.h"
#include "claim.h"
#include "engine.h"
#include "storage.h"

enum { LAYER_FILLS_MAX = 256, LAYER_CACHE_MAX = 64 * 1024 * 1024 /* of one CACHE request */ };

struct layer;

/* Blocks on their way into the layer. The filler's struct begins with this one. */
struct fill {
	struct claim claim;
	struct layer *layer;
	bool urgent; /* a client waits for it */
	/* Told when it is over, after those who waited; in the filler's thread. NULL = nobody. */
	void (*told)(struct fill *f, int result);
	void *owner;       /* of told() */
	struct fill *next; /* free */
};

struct layer_ops {
	/* Starts to bring in f->claim's blocks; layer_filled() follows, not from in here. */
	void (*fill)(struct layer *l, struct fill *f);
	/* A fill has failed (-errno), and those who wait for it are about to be told so. NULL. */
	void (*failed)(struct layer *l, int error);
	unsigned fills;      /* at once; 0 = LAYER_FILLS_MAX */
	size_t fill_size;    /* bytes of the filler's struct */
	uint64_t fill_bytes; /* longest fill; at least a block */
};

struct layer {
	struct storage storage;
	const struct layer_ops *layer_ops;
	struct storage *top;  /* the file; owned */
	struct storage *base; /* read where blocks are absent; borrowed; NULL = they are filled */
	struct blockmap map;
	pthread_mutex_t lock; /* guards what follows */
	struct claim *claims;
	struct waiter *waiting, **waiting_last;
	struct fill *free_fills;
	void *fills; /* memory of all */
	unsigned filling;
	pthread_cond_t quiet; /* `filling` is 0 */
	_Atomic int broken;   /* errno: nothing is filled any more; 0 = works */
};

/*
 * Takes TOP. The map is the caller's to open (l->map, before), closing both is layer_done()'s.
 * 0 or -ENOMEM; storage.ops and facts are the caller's to set.
 */
int layer_init(
	struct layer *l, const struct layer_ops *ops, struct storage *top, struct storage *base);
/* No request may be under way; waits for fills. CLEAN: what is known is made durable and said to be
 * complete. */
void layer_done(struct layer *l, bool clean);

/*
 * RQ needs all blocks of [offset, offset + length) here: 0 = they are, 1 = fills were begun and
 * exec_wake() follows, -errno = they cannot be brought in.
 */
int layer_want(struct layer *l, struct request *rq, uint64_t offset, uint64_t length);

/*
 * Begins a fill of absent blocks nobody claims, the first ones in [from, end), at most MAX blocks.
 * Returns 1 and where they end in *ret_next; 0 = none there; -EAGAIN = too many fills are under
 * way.
 */
int layer_fill_ahead(struct layer *l, uint64_t from, uint64_t end, uint64_t max, bool urgent,
	void (*told)(struct fill *f, int result), void *owner, uint64_t *ret_next);

/*
 * As layer_fill_ahead(), but the caller brings them in and calls layer_filled(): NULL = nothing to
 * claim there now.
 */
struct fill *layer_take_ahead(struct layer *l, uint64_t from, uint64_t end);

/* For fillers: the data of F is in the file (or not: -errno). May block for a moment; F is gone
 * then. */
void layer_filled(struct fill *f, int result);

/* From now on nothing is filled: what waits fails with ERROR (errno). */
void layer_break(struct layer *l, int error);
/* Waits until no fill is under way; of a broken layer none comes after that. */
void layer_settle(struct layer *l);

/* Bytes of a range of blocks; the last one may be short. */
uint64_t layer_offset(const struct layer *l, uint64_t block);
uint64_t layer_length(const struct layer *l, const struct claim *c);

/* Storage operations of the same names, for the tables of each kind. */
size_t layer_map(struct storage *st, bool for_write, uint64_t offset, uint64_t length,
	struct piece *pieces, size_t max);
int layer_prepare(struct storage *st, struct request *rq);
int layer_commit(struct storage *st, struct request *rq);
bool layer_vouched(struct storage *st, uint64_t offset, uint64_t length);
void layer_release(struct storage *st, struct request *rq);
int layer_discard(struct storage *st, uint64_t offset, uint64_t length);
int layer_zero(struct storage *st, uint64_t offset, uint64_t length, unsigned flags);
int layer_flush(struct storage *st);
int layer_cache(struct storage *st, uint64_t offset, uint64_t length);
int layer_extents(
	struct storage *st, uint64_t offset, uint64_t length, struct extent *out, size_t max);
int layer_own_fd(struct storage *st);

#endif
