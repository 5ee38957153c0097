/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening a proxy, and what is special in its requests: reading ahead. The rest is layer*.c.
 *
 * The cache file is as long as the disk from the start, and sparse; a block that is absent may hold
 * anything (an unfinished fetch), for only the map says what is true.
 */
#include "clock.h"
#include "conn.h"
#include "file.h"
#include "log.h"
#include "nbd.h"
#include "proxy_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { FIRST_MS = 15 * 1000, THREADS = 4, BUSY_MS = 200 };

/* Requests. */

static void fetch_ahead(struct proxy *p, uint64_t offset, uint64_t length)
{
	struct layer *l = &p->layer;
	uint64_t from, end, next;
	bool wanted;

	pthread_mutex_lock(&p->lock);
	wanted = readahead_note(&p->readahead, offset, length, l->map.size, &from, &end);
	pthread_mutex_unlock(&p->lock);
	if (!wanted)
		return;
	from /= l->map.block;
	end = (end + l->map.block - 1) / l->map.block;
	while (from < end &&
		layer_fill_ahead(l, from, end, UINT64_MAX, false, NULL, NULL, &next) == 1)
		from = next;
}

static void note_use(struct proxy *p)
{
	if (!atomic_load_explicit(&p->used, memory_order_relaxed))
		atomic_store_explicit(&p->used, true, memory_order_relaxed);
}

/* A read of what is here has no need to be prepared, but comes through here. */
static size_t map(struct storage *st, bool for_write, uint64_t offset, uint64_t length,
	struct piece *pieces, size_t max)
{
	note_use(proxy_of(st));
	return layer_map(st, for_write, offset, length, pieces, max);
}

/* The fills a read waits for are begun before those ahead of it. */
static int prepare(struct storage *st, struct request *rq)
{
	struct proxy *p = proxy_of(st);
	bool fresh = !rq->waiter.request;
	int ret;

	if (p->switched)
		return 0;
	note_use(p);
	ret = layer_prepare(st, rq);
	if (rq->nbd.type == NBD_CMD_READ && fresh && ret >= 0 &&
		(ret == 1 || readahead_passes(&p->readahead, rq->nbd.offset, rq->nbd.length)))
		fetch_ahead(p, rq->nbd.offset, rq->nbd.length);
	return ret;
}

static void interrupt(struct storage *st)
{
	struct proxy *p = proxy_of(st);

	pthread_mutex_lock(&p->origin_lock);
	if (p->origin) {
		layer_break(&p->layer, ESHUTDOWN);
		origin_interrupt(p->origin);
	}
	pthread_mutex_unlock(&p->origin_lock);
}

static void proxy_close(struct storage *st)
{
	struct proxy *p = proxy_of(st);
	bool clean = p->layer.map.persistent;

	if (p->origin)
		origin_interrupt(p->origin);
	copier_done(&p->copier);
	origin_free(p->origin);
	io_threads_free(p->threads);
	layer_done(&p->layer, clean);
	pool_done(&p->buffers);
	pthread_mutex_destroy(&p->lock);
	pthread_mutex_destroy(&p->origin_lock);
	pthread_mutex_destroy(&p->control);
	pthread_cond_destroy(&p->origin_unused);
	free(p);
}

static const struct storage_ops proxy_ops = {
	.kind = "proxy",
	.map = map,
	.prepare = prepare,
	.commit = layer_commit,
	.vouched = layer_vouched,
	.release = layer_release,
	.discard = layer_discard,
	.zero = layer_zero,
	.flush = layer_flush,
	.cache = layer_cache,
	.extents = layer_extents,
	.interrupt = interrupt,
	.close = proxy_close,
};

struct proxy *proxy_of(struct storage *st)
{
	return st->ops == &proxy_ops ? container_of(st, struct proxy, layer.storage) : NULL;
}

/* The copier. */

static bool clients_busy(void *owner)
{
	struct proxy *p = owner;

	if (atomic_exchange(&p->used, false))
		p->busy = clock_ms();
	return clock_ms() - p->busy < BUSY_MS;
}

static void tell(struct proxy *p, const char *what)
{
	if (p->changed)
		p->changed(p->owner, what);
}

static void copied(void *owner, int result)
{
	struct proxy *p = owner;

	if (result == -ESHUTDOWN)
		return;
	if (result < 0)
		log_error("%s: all is copied, but cannot be made durable: %s", p->cache,
			strerror(-result));
	else
		log_info("%s: all blocks are here", p->cache);
}

static void copy_changed(void *owner)
{
	tell(owner, "copy");
}

static const struct copier_ops copies = {
	.below = proxy_below, .busy = clients_busy, .complete = copied, .changed = copy_changed};

/* Opening. */

/* *SIZE: what it must have, 0 = not known yet. */
static int find_origin(
	struct proxy *p, const struct proxy_config *config, uint64_t *size, struct err *err)
{
	struct origin_config oc = {.uri = config->uri,
		.connections = config->connections,
		.timeout_ms = config->timeout_ms,
		.wait_ms = config->wait_ms,
		.size = *size};
	struct origin_status status;
	int ret;

	p->origin = origin_new(&oc, err);
	if (!p->origin)
		return -err->code;
	if (oc.size > 0) /* what is here can be served, wherever the rest is */
		return 0;
	ret = origin_wait(p->origin, FIRST_MS, err);
	if (ret < 0)
		return ret;
	origin_status(p->origin, &status);
	*size = status.size;
	return 0;
}

/* The bitmap is locked too, but who names another one would overwrite what we vouch for. */
static int lock_cache(const struct proxy *p, int fd, struct err *err)
{
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return err_set(err, EBUSY, "cache %s is in use by another process", p->cache);
	return err_sys(err, errno, "cache %s", p->cache);
}

/*
 * A file is made, or made longer; a longer one is kept. One that is shorter than its bitmap knows
 * (KNOWN) has lost blocks, which would read as zeros.
 */
static int make_cache(struct proxy *p, uint64_t size, bool known, struct err *err)
{
	CLEANUP_FD int fd = open(p->cache, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct stat st;
	int ret;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "cache %s", p->cache);
	ret = lock_cache(p, fd, err);
	if (ret < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size >= size)
		return ret;
	if (known)
		return err_set(err, EINVAL,
			"cache %s has %llu bytes, its bitmap is of %llu; --clear-bitmap to begin anew",
			p->cache, (unsigned long long)st.st_size, (unsigned long long)size);
	if (ftruncate(fd, (off_t)size) < 0 || fsync(fd) < 0)
		return err_sys(
			err, errno, "cache %s: %llu bytes", p->cache, (unsigned long long)size);
	return 0;
}

static int open_cache(struct proxy *p, uint64_t size, bool known, struct err *err)
{
	int ret = make_cache(p, size, known, err);

	if (ret < 0)
		return ret;
	p->layer.top = file_open(p->cache, 0, err);
	if (!p->layer.top)
		return -err->code;
	if (p->layer.top->facts.size < size)
		return err_set(err, ENOSPC, "cache %s: has %llu bytes, the origin has %llu",
			p->cache, (unsigned long long)p->layer.top->facts.size,
			(unsigned long long)size);
	/* Not the one a ring uses: that is closed some time after we have been killed. */
	return lock_cache(p, file_of(p->layer.top)->flush_fd, err);
}

static int open_map(
	struct proxy *p, const struct proxy_config *config, uint64_t size, struct err *err)
{
	json_t *identity = json_pack("{s:s, s:s}", "kind", "cache", "origin", config->uri);
	struct blockmap_wish wish = {.path = p->bitmap,
		.size = size,
		.block = PROXY_BLOCK,
		.data_fd = file_of(p->layer.top)->flush_fd,
		.identity = identity,
		.what = "cache",
		.clear = config->clear};
	int ret = blockmap_open(&p->layer.map, &wish, err);

	json_decref(identity);
	return ret;
}

static void set_facts(struct proxy *p, uint64_t size, bool readonly)
{
	struct export_facts *f = &p->layer.storage.facts;

	*f = p->layer.top->facts;
	f->size = size;
	if (!readonly)
		return;
	f->flags |= NBD_FLAG_READ_ONLY;
	f->flags &= (uint16_t) ~(
		NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO);
}

static int open_all(struct proxy *p, const struct proxy_config *config, struct err *err)
{
	uint64_t known = config->clear ? 0 : blockmap_known_size(config->bitmap), size = known;
	int ret = find_origin(p, config, &size, err);

	if (ret == 0)
		ret = open_cache(p, size, known > 0, err);
	if (ret == 0)
		ret = open_map(p, config, size, err);
	if (ret < 0)
		return ret;
	set_facts(p, size, config->readonly);
	copier_init(&p->copier, &p->layer, &copies, p);
	return 0;
}

struct storage *proxy_open(const struct proxy_config *config, struct err *err)
{
	struct proxy *p = calloc(1, sizeof(*p));

	if (!p) {
		err_sys(err, ENOMEM, "%s", config->cache);
		return NULL;
	}
	pthread_mutex_init(&p->lock, NULL);
	pthread_mutex_init(&p->origin_lock, NULL);
	pthread_cond_init(&p->origin_unused, NULL);
	pthread_mutex_init(&p->control, NULL);
	snprintf(p->cache, sizeof(p->cache), "%s", config->cache);
	snprintf(p->bitmap, sizeof(p->bitmap), "%s", config->bitmap);
	p->layer.storage.ops = &proxy_ops;
	p->layer.storage.in_place = true;
	p->threads = io_threads_new(THREADS);
	if (!p->threads || pool_init(&p->buffers, (size_t)LAYER_FILLS_MAX * PROXY_FILL) < 0 ||
		layer_init(&p->layer, &proxy_fills, NULL, NULL) < 0)
		err_sys(err, ENOMEM, "%s", config->cache);
	else if (open_all(p, config, err) == 0)
		return &p->layer.storage;
	proxy_close(&p->layer.storage);
	return NULL;
}
