/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may touch absent blocks, and who waits for them; see layer.h. The lock is taken for absent
 * blocks only. Under it hold:
 *
 *	- claims do not overlap in absent blocks;
 *	- a waiter waits for a claim that overlaps its range, or is starved and waits for a fill
 *	  to become free.
 *
 * When a claim ends, those who wait for it are woken and ask again from the start: so nothing needs
 * to be remembered of what they had found out. What is below (layer_io.c) does not look at claims.
 */
#include "exec.h"
#include "layer_inner.h"
#include "log.h"
#include "util.h"

#include <errno.h>
#include <string.h>

uint64_t layer_offset(const struct layer *l, uint64_t block)
{
	return MIN_OF(block * l->map.block, l->map.size);
}

uint64_t layer_length(const struct layer *l, const struct claim *c)
{
	return layer_offset(l, c->first + c->count) - layer_offset(l, c->first);
}

/* The blocks that bytes touch. */
struct claim layer_blocks(const struct layer *l, uint64_t offset, uint64_t length)
{
	uint64_t first = offset / l->map.block, last = (offset + length - 1) / l->map.block;

	return (struct claim){.first = first, .count = last - first + 1};
}

static int add_fills(struct layer *l)
{
	size_t size = l->layer_ops->fill_size;
	unsigned count = l->layer_ops->fills ? l->layer_ops->fills : LAYER_FILLS_MAX;
	uint8_t *fills = calloc(count, size);

	l->fills = fills;
	for (unsigned i = 0; fills && i < count; i++) {
		struct fill *f = (struct fill *)(void *)(fills + i * size);

		f->next = l->free_fills;
		l->free_fills = f;
	}
	return fills ? 0 : -ENOMEM;
}

int layer_init(
	struct layer *l, const struct layer_ops *ops, struct storage *top, struct storage *base)
{
	l->layer_ops = ops;
	l->top = top;
	l->base = base;
	l->waiting_last = &l->waiting;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->quiet, NULL);
	return add_fills(l);
}

/* A filler may be on its way out of layer_filled() still, when nobody waits any more. */
static void wait_quiet(struct layer *l)
{
	layer_settle(l);
	pthread_cond_destroy(&l->quiet);
	pthread_mutex_destroy(&l->lock);
}

void layer_done(struct layer *l, bool clean)
{
	int ret;

	if (l->fills) /* it never changes */
		wait_quiet(l);
	if (clean && (ret = blockmap_close(&l->map)) < 0)
		log_error("%s: not closed in order: %s; what was flushed is safe", l->map.path,
			strerror(-ret));
	blockmap_done(&l->map);
	if (l->top)
		l->top->ops->close(l->top);
	free(l->fills);
}

/* Claims. */

static bool overlap(uint64_t first, uint64_t count, const struct claim *c)
{
	return first < c->first + c->count && c->first < first + count;
}

void layer_hold(struct layer *l, struct claim *c)
{
	c->next = l->claims;
	c->link = &l->claims;
	if (c->next)
		c->next->link = &c->next;
	l->claims = c;
}

/* Shortens the absent run [first, first + count) to what nobody claims, and skips claimed blocks at
 * its begin; false: nothing is left. */
static bool cut_claimed(const struct layer *l, uint64_t *first, uint64_t *count)
{
	const struct claim *c = l->claims;

	while (c && *count > 0) {
		if (!overlap(*first, *count, c)) {
			c = c->next;
		} else if (c->first > *first) {
			*count = c->first - *first;
			c = c->next;
		} else {
			uint64_t skip = MIN_OF(c->first + c->count - *first, *count);

			*first += skip;
			*count -= skip;
			c = l->claims; /* another one may begin here */
		}
	}
	return *count > 0;
}

bool layer_is_claimed(const struct layer *l, uint64_t first, uint64_t count)
{
	for (const struct claim *c = l->claims; c; c = c->next) {
		if (overlap(first, count, c))
			return true;
	}
	return false;
}

/* Waiting. */

int layer_wait(struct layer *l, struct request *rq, uint64_t first, uint64_t count, bool starved)
{
	struct waiter *w = &rq->waiter;

	*w = (struct waiter){.first = first, .count = count, .starved = starved, .request = rq};
	*l->waiting_last = w;
	l->waiting_last = &w->next;
	return 1;
}

/* C has ended, with ERROR; C = NULL: a fill has become free. */
static void wake_waiting(struct layer *l, const struct claim *c, int error)
{
	struct waiter **p = &l->waiting, *w;

	while ((w = *p)) {
		if (c ? !overlap(w->first, w->count, c) : !w->starved) {
			p = &w->next;
			continue;
		}
		*p = w->next;
		w->error = error;
		exec_wake(w->request);
	}
	l->waiting_last = p;
}

void layer_end_claim(struct layer *l, struct claim *c, int error)
{
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	c->link = NULL;
	wake_waiting(l, c, error);
}

/* Fills. Each is begun outside of the lock, so begin_fill() chains them up. */

static struct fill *take_fill(struct layer *l, uint64_t first, uint64_t count, bool urgent)
{
	struct fill *f = l->free_fills;

	if (!f)
		return NULL;
	l->free_fills = f->next;
	f->claim = (struct claim){.first = first, .count = count};
	f->layer = l;
	f->urgent = urgent;
	f->told = NULL;
	l->filling++;
	layer_hold(l, &f->claim);
	return f;
}

void layer_start_fills(struct layer *l, struct fill *f)
{
	while (f) {
		struct fill *next = f->next;

		l->layer_ops->fill(l, f);
		f = next;
	}
}

void layer_filled(struct fill *f, int result)
{
	void (*told)(struct fill * f, int result) = f->told;
	struct layer *l = f->layer;

	if (result == 0)
		result = blockmap_set(&l->map, f->claim.first, f->claim.count);
	if (result < 0 && l->layer_ops->failed)
		l->layer_ops->failed(l, result);
	pthread_mutex_lock(&l->lock);
	layer_end_claim(l, &f->claim, -result);
	pthread_mutex_unlock(&l->lock);
	if (told)
		told(f, result);
	pthread_mutex_lock(&l->lock);
	f->next = l->free_fills;
	l->free_fills = f;
	wake_waiting(l, NULL, 0);
	if (--l->filling == 0)
		pthread_cond_broadcast(&l->quiet);
	pthread_mutex_unlock(&l->lock);
}

static uint64_t fill_blocks(const struct layer *l)
{
	return MAX_OF(l->layer_ops->fill_bytes / l->map.block, 1UL);
}

/* The next run of absent blocks nobody claims in [*pos, end); *pos goes behind it. */
static bool next_free_run(const struct layer *l, uint64_t *pos, uint64_t end, struct claim *ret)
{
	while (*pos < end) {
		bool present;
		uint64_t first = *pos,
			 count = bitmap_run(&l->map.present, first, end - first, &present);
		bool is_free = !present && cut_claimed(l, &first, &count);

		*pos = first + count; /* if not free: behind what is present, or claimed */
		if (!is_free)
			continue;
		*ret = (struct claim){.first = first, .count = count};
		return true;
	}
	return false;
}

/* Takes fills for every free run of [first, first + count); *ret_starved: not for all. */
static struct fill *take_fills(struct layer *l, uint64_t first, uint64_t count, bool *ret_starved)
{
	uint64_t pos = first, end = first + count, longest = fill_blocks(l);
	struct fill *chain = NULL, **last = &chain;
	struct claim run;

	*ret_starved = false;
	while (!*ret_starved && next_free_run(l, &pos, end, &run)) {
		struct fill *f = take_fill(l, run.first, MIN_OF(run.count, longest), true);

		*ret_starved = !f;
		if (!f)
			break;
		f->next = NULL;
		*last = f;
		last = &f->next;
		pos = f->claim.first + f->claim.count;
	}
	return chain;
}

static int take_error(struct layer *l, struct request *rq)
{
	int error = rq->waiter.error ? rq->waiter.error : l->broken;

	rq->waiter.error = 0;
	return -error;
}

/* With the lock held; fills to start in *ret. */
int layer_want_locked(struct layer *l, struct request *rq, const struct claim *c, struct fill **ret)
{
	bool starved;

	*ret = NULL;
	if (bitmap_all(&l->map.present, c->first, c->count)) {
		rq->waiter.error = 0;
		return 0;
	}
	if (rq->waiter.error || l->broken)
		return take_error(l, rq);
	*ret = take_fills(l, c->first, c->count, &starved);
	return layer_wait(l, rq, c->first, c->count, starved);
}

static int want_blocks(struct layer *l, struct request *rq, const struct claim *c)
{
	struct fill *fills;
	int ret;

	if (bitmap_all(&l->map.present, c->first, c->count)) {
		rq->waiter.error = 0; /* of a fill that somebody else has made up for */
		return 0;
	}
	pthread_mutex_lock(&l->lock);
	ret = layer_want_locked(l, rq, c, &fills);
	pthread_mutex_unlock(&l->lock);
	layer_start_fills(l, fills);
	return ret;
}

int layer_want(struct layer *l, struct request *rq, uint64_t offset, uint64_t length)
{
	struct claim c = layer_blocks(l, offset, length);

	return want_blocks(l, rq, &c);
}

int layer_fill_ahead(struct layer *l, uint64_t from, uint64_t end, uint64_t max, bool urgent,
	void (*told)(struct fill *f, int result), void *owner, uint64_t *ret_next)
{
	struct fill *f = NULL;
	struct claim run;
	int ret = 0;

	pthread_mutex_lock(&l->lock);
	if (!l->broken && next_free_run(l, &from, end, &run)) {
		f = take_fill(l, run.first, MIN_OF(MIN_OF(run.count, max), fill_blocks(l)), urgent);
		ret = f ? 1 : -EAGAIN;
	}
	if (f) {
		f->told = told;
		f->owner = owner;
		f->next = NULL;
		*ret_next = f->claim.first + f->claim.count;
	}
	pthread_mutex_unlock(&l->lock);
	layer_start_fills(l, f);
	return ret;
}

struct fill *layer_take_ahead(struct layer *l, uint64_t from, uint64_t end)
{
	struct fill *f = NULL;
	struct claim run;

	pthread_mutex_lock(&l->lock);
	if (next_free_run(l, &from, end, &run))
		f = take_fill(l, run.first, run.count, false);
	pthread_mutex_unlock(&l->lock);
	return f;
}

void layer_settle(struct layer *l)
{
	pthread_mutex_lock(&l->lock);
	while (l->filling > 0)
		pthread_cond_wait(&l->quiet, &l->lock);
	pthread_mutex_unlock(&l->lock);
}

void layer_break(struct layer *l, int error)
{
	struct claim all = {.first = 0, .count = UINT64_MAX};

	pthread_mutex_lock(&l->lock);
	l->broken = error;
	wake_waiting(l, &all, error);
	pthread_mutex_unlock(&l->lock);
}
