/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The proxy's struct, for proxy*.c alone; others see proxy.h. */
#ifndef SERVER_PROXY_INNER_H
#define SERVER_PROXY_INNER_H

#include <limits.h>

#include "layer.h"
#include "pool.h"
#include "proxy.h"
#include "readahead.h"
#include "util.h"

struct proxy {
	struct layer layer;
	struct origin *origin;       /* NULL once it is a target */
	pthread_mutex_t origin_lock; /* guards the pointer and its users against the switch */
	unsigned origin_users;       /* threads in slow calls of it */
	pthread_cond_t origin_unused;
	pthread_mutex_t control;    /* one switch or reconnect at a time */
	struct io_threads *threads; /* what was fetched is written there */
	struct copier copier;
	_Atomic bool used; /* by a client, since the copier looked */
	uint64_t busy;     /* ms, when it saw that; the copier's own */
	_Atomic bool switched;
	pthread_mutex_t lock; /* guards the two below */
	struct pool buffers;
	struct readahead readahead;
	char cache[PATH_MAX], bitmap[PATH_MAX];
	void (*changed)(void *owner, const char *what);
	void *owner;
};

static inline struct proxy *proxy_of_layer(struct layer *l)
{
	return container_of(l, struct proxy, layer);
}

/* proxy_fetch.c: blocks on their way from the origin. */
extern const struct layer_ops proxy_fills;
/* For the copier: what is a hole at the origin. */
int proxy_below(void *owner, uint64_t offset, uint64_t length, struct extent *out, size_t max);
/* The origin for a slow call, which it survives; NULL: it is a target. */
struct origin *proxy_hold_origin(struct proxy *p);
void proxy_put_origin(struct proxy *p);
/* Jobs that are waited for, all at once; each has its result. -ESHUTDOWN: it is a target, and
 * nothing was asked. */
struct proxy_question;
struct proxy_ask {
	struct origin_job job;
	struct proxy_question *question; /* proxy_ask()'s own, as is job.done */
};
int proxy_ask(struct proxy *p, struct proxy_ask *asks, size_t count);

#endif
