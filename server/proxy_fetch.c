/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fill of a proxy: asked of the origin (its thread), written to the cache (one of ours), told to
 * the layer. Buffers come from a pool that has one for each fill there can be.
 */
#include "nbd.h"
#include "proxy_inner.h"
#include "sparse.h"

#include <errno.h>

struct fetch {
	struct fill fill;
	struct origin_job job;
	struct io io;
};

static struct fetch *fetch_of(struct fill *f)
{
	return container_of(f, struct fetch, fill);
}

static void finish(struct fetch *f, int result)
{
	struct proxy *p = proxy_of_layer(f->fill.layer);

	if (f->job.buf) {
		pthread_mutex_lock(&p->lock);
		pool_put(&p->buffers, f->job.buf);
		pthread_mutex_unlock(&p->lock);
	}
	layer_filled(&f->fill, result);
}

static int write_cache(struct io *io)
{
	struct fetch *f = container_of(io, struct fetch, io);

	return sparse_write(f->fill.layer->top, f->job.offset, f->job.buf, (size_t)f->job.length);
}

static void written(struct io *io)
{
	struct fetch *f = container_of(io, struct fetch, io);

	finish(f, io->result);
}

static void fetched(struct origin_job *job)
{
	struct fetch *f = container_of(job, struct fetch, job);

	if (job->result < 0) {
		finish(f, job->result);
		return;
	}
	f->io = (struct io){.op = IO_CALL, .call = write_cache, .done = written};
	io_threads_queue(proxy_of_layer(f->fill.layer)->threads, NULL, &f->io);
}

static int fail(struct io *io)
{
	(void)io;
	return -ENOMEM;
}

/* layer_filled() must not be called from in here, so even failing takes a thread. */
static void start(struct layer *l, struct fill *fill)
{
	struct proxy *p = proxy_of_layer(l);
	struct fetch *f = fetch_of(fill);

	f->job = (struct origin_job){.kind = ORIGIN_READ,
		.offset = layer_offset(l, fill->claim.first),
		.length = layer_length(l, &fill->claim),
		.urgent = fill->urgent,
		.done = fetched};
	pthread_mutex_lock(&p->lock);
	f->job.buf = pool_get(&p->buffers, (size_t)f->job.length);
	pthread_mutex_unlock(&p->lock);
	if (f->job.buf) {
		origin_submit(p->origin, &f->job);
		return;
	}
	f->io = (struct io){.op = IO_CALL, .call = fail, .done = written};
	io_threads_queue(p->threads, NULL, &f->io);
}

const struct layer_ops proxy_fills = {
	.fill = start,
	.fill_size = sizeof(struct fetch),
	.fill_bytes = PROXY_FILL,
};

/* Asking and waiting, for threads of our own. */

struct proxy_question {
	pthread_mutex_t lock;
	pthread_cond_t answered;
	size_t left; /* answers that are not here yet */
};

static void answered(struct origin_job *job)
{
	struct proxy_question *q = container_of(job, struct proxy_ask, job)->question;

	pthread_mutex_lock(&q->lock);
	if (--q->left == 0)
		pthread_cond_signal(&q->answered);
	pthread_mutex_unlock(&q->lock);
}

struct origin *proxy_hold_origin(struct proxy *p)
{
	struct origin *o;

	pthread_mutex_lock(&p->origin_lock);
	o = p->origin;
	p->origin_users += o != NULL;
	pthread_mutex_unlock(&p->origin_lock);
	return o;
}

void proxy_put_origin(struct proxy *p)
{
	pthread_mutex_lock(&p->origin_lock);
	if (--p->origin_users == 0)
		pthread_cond_broadcast(&p->origin_unused);
	pthread_mutex_unlock(&p->origin_lock);
}

int proxy_ask(struct proxy *p, struct proxy_ask *asks, size_t count)
{
	struct proxy_question q = {.lock = PTHREAD_MUTEX_INITIALIZER,
		.answered = PTHREAD_COND_INITIALIZER,
		.left = count};
	struct origin *o = proxy_hold_origin(p);

	if (!o)
		return -ESHUTDOWN;
	for (size_t i = 0; i < count; i++) {
		asks[i].question = &q;
		asks[i].job.done = answered;
		origin_submit(o, &asks[i].job);
	}
	pthread_mutex_lock(&q.lock);
	while (q.left > 0)
		pthread_cond_wait(&q.answered, &q.lock);
	pthread_mutex_unlock(&q.lock);
	proxy_put_origin(p);
	return 0;
}

int proxy_below(void *owner, uint64_t offset, uint64_t length, struct extent *out, size_t max)
{
	struct origin_extent extents[ORIGIN_EXTENTS_MAX];
	struct proxy_ask ask = {.job = {.kind = ORIGIN_STATUS,
					.offset = offset,
					.length = length,
					.extents = extents}};
	size_t n = 0;
	int ret = proxy_ask(owner, &ask, 1);

	if (ret == 0)
		ret = ask.job.result;
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < ask.job.extent_count && n < max; i++) {
		uint32_t state = extents[i].zero ? NBD_STATE_HOLE | NBD_STATE_ZERO : 0;

		if (n > 0 && out[n - 1].state == state)
			out[n - 1].length += extents[i].length;
		else
			out[n++] = (struct extent){extents[i].length, state};
	}
	return (int)n;
}
