/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hash table with open addressing; the numbers are random, so they are their own hash. It is made
 * anew when it is full, without what is no longer in use.
 */
#include "xid.h"

#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

enum { SIZE_MIN = 64 };

/* So many may be used of SIZE. */
static uint32_t limit_of(uint32_t size)
{
	return size - size / 8;
}

static uint32_t size_for(uint32_t count)
{
	uint32_t size = SIZE_MIN;

	while (limit_of(size) <= count)
		size *= 2;
	return size;
}

static int fill_pool(struct xid *x)
{
	ssize_t n;

	do {
		n = getrandom(x->pool, sizeof(x->pool), 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	x->pooled = (size_t)n / sizeof(x->pool[0]);
	return x->pooled > 0 ? 0 : -EIO;
}

int xid_random(struct xid *x, uint32_t *ret)
{
	int r = x->pooled > 0 ? 0 : fill_pool(x);

	if (r == 0)
		*ret = x->pool[--x->pooled];
	return r;
}

int xid_init(struct xid *x, uint32_t units, bool (*is_used)(void *arg, uint32_t xid, uint32_t unit),
	void *arg)
{
	int r;

	*x = (struct xid){.size = size_for(units), .is_used = is_used, .arg = arg};
	x->slots = calloc(x->size, sizeof(*x->slots));
	r = x->slots ? fill_pool(x) : -ENOMEM;
	if (r < 0)
		xid_done(x);
	return r;
}

void xid_done(struct xid *x)
{
	free(x->slots);
	*x = (struct xid){0};
}

/* The slot of this number, or the free one where it belongs. */
static struct xid_slot *slot_of(const struct xid *x, uint32_t xid)
{
	uint32_t i = xid & (x->size - 1);

	while (x->slots[i].xid && x->slots[i].xid != xid)
		i = (i + 1) & (x->size - 1);
	return &x->slots[i];
}

static void put(struct xid *x, uint32_t xid, uint32_t unit)
{
	*slot_of(x, xid) = (struct xid_slot){xid, unit};
	x->used++;
}

static bool is_in_use(const struct xid *x, const struct xid_slot *s)
{
	return s->xid && x->is_used(x->arg, s->xid, s->unit);
}

static int make_anew(struct xid *x)
{
	struct xid old = *x;
	uint32_t in_use = 0;

	for (uint32_t i = 0; i < old.size; i++)
		in_use += is_in_use(&old, &old.slots[i]);
	/* Room for a quarter more, so that this does not happen all the time. */
	x->size = MAX_OF(old.size, size_for(in_use + in_use / 4));
	x->slots = calloc(x->size, sizeof(*x->slots));
	if (!x->slots) {
		*x = old;
		return -ENOMEM;
	}
	x->used = 0;
	for (uint32_t i = 0; i < old.size; i++) {
		if (is_in_use(&old, &old.slots[i]))
			put(x, old.slots[i].xid, old.slots[i].unit);
	}
	free(old.slots);
	return 0;
}

int xid_draw(struct xid *x, uint32_t unit, uint32_t *ret)
{
	int r = x->used < limit_of(x->size) ? 0 : make_anew(x);
	uint32_t xid = 0;

	while (r == 0 && (xid == 0 || slot_of(x, xid)->xid))
		r = xid_random(x, &xid);
	if (r < 0)
		return r;
	put(x, xid, unit);
	*ret = xid;
	return 0;
}

bool xid_find(const struct xid *x, uint32_t xid, uint32_t *ret_unit)
{
	const struct xid_slot *s = xid ? slot_of(x, xid) : NULL;

	if (!s || !s->xid)
		return false;
	*ret_unit = s->unit;
	return true;
}
