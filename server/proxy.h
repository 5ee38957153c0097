/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A caching proxy: a layer (layer.h) in front of an origin (origin.h). Blocks are fetched when they
 * are read, or by the copier (copier.h); writes stay here. When all blocks are present the cache is
 * the disk, and the proxy can become a target with all its clients.
 *
 * What may block here says so, and is called in threads other than lanes.
 */
#ifndef SERVER_PROXY_H
#define SERVER_PROXY_H

#include "copier.h"
#include "origin.h"
#include "storage.h"

enum { PROXY_BLOCK = 4096, PROXY_FILL = 256 * 1024 /* bytes fetched by one request */ };

struct proxy_config {
	const char *uri;
	const char *cache, *bitmap;
	bool clear;                                /* forget what the bitmap says */
	bool readonly;                             /* clients may not write */
	unsigned timeout_ms, wait_ms, connections; /* see origin.h */
};

/* NULL with ERR: no origin and nothing known of it, or a cache that belongs to another. Blocks. */
struct storage *proxy_open(const struct proxy_config *config, struct err *err);

/* The proxy behind a storage; NULL = it is none. */
struct proxy *proxy_of(struct storage *st);

/* In the proxy's threads: something people watch has changed ("copy", "origin", "switched"). */
void proxy_watch(struct proxy *p, void (*changed)(void *owner, const char *what), void *owner);

struct proxy_status {
	const char *cache, *bitmap;
	bool switched;
	unsigned block;
	uint64_t blocks, cached, written;
	struct origin_status origin;
	struct copier_progress copy;
};
void proxy_status(struct proxy *p, struct proxy_status *ret);

/* The copy of the rest. 0 or -errno; a complete proxy has nothing to do. */
int proxy_copy(struct proxy *p, const struct copier_settings *settings);
void proxy_pause(struct proxy *p, bool paused);

/*
 * Becomes a target. -EAGAIN with *ret_absent blocks if some are absent; FORCE makes these zeros.
 * Everything is durable when it returns 0. Blocks.
 */
int proxy_switch(struct proxy *p, bool force, uint64_t *ret_absent, struct err *err);

/* Another origin of the same content. Blocks for up to 15 s. */
int proxy_reconnect(struct proxy *p, const char *uri, struct err *err);

/* Random blocks that no client wrote, compared with the origin. Blocks. */
struct proxy_verdict {
	uint64_t checked, skipped, different, first_different; /* the last one is an offset */
};
int proxy_verify(struct proxy *p, uint64_t samples, struct proxy_verdict *ret, struct err *err);

#endif
