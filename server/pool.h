/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page-aligned payload buffers of one lane: a buddy allocator over one mapping, so that no request
 * calls malloc and memory is bounded. Memory is touched as it is used and given back when idle.
 */
#ifndef SERVER_POOL_H
#define SERVER_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	POOL_PAGE = 4096,
	POOL_ORDERS = 15, /* 4 KiB << 14 = 64 MiB, the largest buffer */
	POOL_BUFFER_MAX = POOL_PAGE << (POOL_ORDERS - 1),
	POOL_SHORT = 1024 * 1024, /* longer buffers get three quarters of the limit at most */
};

struct pool_page {
	uint32_t next, prev; /* in the free list of its order, as page number + 1; 0 = none */
	int8_t order;        /* of the run that begins here, -1 inside a run */
	bool free;
};

struct pool {
	uint8_t *base;
	size_t bytes; /* of the mapping, a multiple of POOL_BUFFER_MAX */
	size_t limit; /* most bytes handed out at once (one buffer is always possible) */
	size_t used;  /* bytes handed out now */
	size_t peak;  /* highest `used` since the last pool_trim() */
	struct pool_page *pages;
	uint32_t free[POOL_ORDERS]; /* page number + 1 of the first run, 0 = none */
};

/* LIMIT in bytes. 0 or -ENOMEM. */
int pool_init(struct pool *p, size_t limit);
void pool_done(struct pool *p);

/* At least LEN bytes (1 to POOL_BUFFER_MAX) or NULL if none are free now. */
uint8_t *pool_get(struct pool *p, size_t len);
void pool_put(struct pool *p, uint8_t *buf);
/* What a buffer of LEN bytes really takes. */
size_t pool_cost(size_t len);

/* Gives the memory of large free runs back to the kernel if little was used lately. */
void pool_trim(struct pool *p);

#endif
