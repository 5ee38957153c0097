/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Buddy allocator. A run of order n is 2^n pages long and aligned to its length; its buddy is the
 * run beside it whose number differs in bit n. pages[] describes a run at its first page.
 */
#include "pool.h"

#include "util.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { TRIM_ORDER = 8 }; /* runs of 1 MiB and more */

static void push(struct pool *p, uint32_t page, int order)
{
	struct pool_page *run = &p->pages[page];
	uint32_t first = p->free[order];

	*run = (struct pool_page){.next = first, .order = (int8_t)order, .free = true};
	if (first)
		p->pages[first - 1].prev = page + 1;
	p->free[order] = page + 1;
}

static void unlink_run(struct pool *p, uint32_t page)
{
	struct pool_page *run = &p->pages[page];

	if (run->prev)
		p->pages[run->prev - 1].next = run->next;
	else
		p->free[run->order] = run->next;
	if (run->next)
		p->pages[run->next - 1].prev = run->prev;
	run->free = false;
	run->next = run->prev = 0;
}

int pool_init(struct pool *p, size_t limit)
{
	size_t bytes = round_up(MAX_OF(limit, (size_t)POOL_BUFFER_MAX), POOL_BUFFER_MAX);
	size_t pages = bytes / POOL_PAGE;

	*p = (struct pool){.bytes = bytes, .limit = limit};
	p->base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p->base == MAP_FAILED) {
		p->base = NULL;
		return -ENOMEM;
	}
	p->pages = calloc(pages, sizeof(*p->pages));
	if (!p->pages) {
		pool_done(p);
		return -ENOMEM;
	}
	for (size_t i = pages; i > 0; i -= 1 << (POOL_ORDERS - 1))
		push(p, (uint32_t)(i - (1 << (POOL_ORDERS - 1))), POOL_ORDERS - 1);
	return 0;
}

void pool_done(struct pool *p)
{
	if (p->base)
		munmap(p->base, p->bytes);
	free(p->pages);
	*p = (struct pool){0};
}

static int order_of(size_t len)
{
	int order = 0;

	while (((size_t)POOL_PAGE << order) < len)
		order++;
	return order;
}

size_t pool_cost(size_t len)
{
	return (size_t)POOL_PAGE << order_of(len);
}

/* Splits a larger run until one of ORDER is left. */
static bool take_run(struct pool *p, int order, uint32_t *ret)
{
	int have = order;
	uint32_t page;

	while (have < POOL_ORDERS && !p->free[have])
		have++;
	if (have == POOL_ORDERS)
		return false;
	page = p->free[have] - 1;
	unlink_run(p, page);
	while (have > order) {
		have--;
		push(p, page + (1u << have), have);
	}
	p->pages[page].order = (int8_t)order;
	*ret = page;
	return true;
}

/* A quarter is kept for short buffers: long ones are held long, and need not stop all others. */
static size_t limit_for(const struct pool *p, size_t bytes)
{
	return bytes > POOL_SHORT ? p->limit - p->limit / 4 : p->limit;
}

uint8_t *pool_get(struct pool *p, size_t len)
{
	int order = order_of(len);
	size_t bytes = (size_t)POOL_PAGE << order;
	uint32_t page;

	if (order >= POOL_ORDERS || (p->used > 0 && p->used + bytes > limit_for(p, bytes)))
		return NULL;
	if (!take_run(p, order, &page))
		return NULL;
	p->used += bytes;
	p->peak = MAX_OF(p->peak, p->used);
	return p->base + (size_t)page * POOL_PAGE;
}

void pool_put(struct pool *p, uint8_t *buf)
{
	uint32_t page = (uint32_t)((size_t)(buf - p->base) / POOL_PAGE);
	int order = p->pages[page].order;

	p->used -= (size_t)POOL_PAGE << order;
	for (; order < POOL_ORDERS - 1; order++) {
		uint32_t buddy = page ^ (1u << order);

		if (!p->pages[buddy].free || p->pages[buddy].order != order)
			break;
		unlink_run(p, buddy);
		page &= ~(1u << order);
	}
	push(p, page, order);
}

void pool_trim(struct pool *p)
{
	if (p->peak == 0)
		return;
	for (int order = TRIM_ORDER; p->used == 0 && order < POOL_ORDERS; order++) {
		for (uint32_t n = p->free[order]; n; n = p->pages[n - 1].next)
			madvise(p->base + (size_t)(n - 1) * POOL_PAGE, (size_t)POOL_PAGE << order,
				MADV_DONTNEED);
	}
	p->peak = p->used;
}
