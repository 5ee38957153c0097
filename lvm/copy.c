/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One copy; see copy.h. The threads of the pipeline read the source, ask what the target has, and
 * compress; the thread of copy_run() puts chunks in order, watches the rate and tells how far it
 * is. What makes it correct is elsewhere: hashes in source and target, the order of renames in
 * target_finish.c.
 */
#include "copy.h"

#include "clock.h"
#include "log.h"
#include "rate.h"
#include "source_far.h"
#include "target_far.h"
#include "target_lv.h"
#include "util.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum { TELL_MS = 1000, PAUSE_MS_MAX = 100 };

struct copy {
	const struct copy_job *job;
	struct source *source;
	struct target *target;
	struct target_plan plan;
	struct copy_result *result;
	struct rate rate;
	uint64_t began, told; /* ms */
	uint64_t first;       /* bytes that were there already */
	bool said_slow;
};

static int make(void *owner, struct chunk *c, struct err *err)
{
	struct copy *y = owner;
	uint8_t known[CODEC_HASH];
	int ret = 0;

	c->len = manifest_chunk_len(&y->plan.head, c->index);
	if (y->plan.incremental)
		ret = y->target->ops->old(y->target, c, known, err);
	if (ret >= 0)
		ret = y->source->ops->read(y->source, c, ret > 0 ? known : NULL, err);
	if (ret < 0 || c->same || !y->plan.head.codec)
		return ret;
	ret = codec_pack(y->plan.head.codec, y->job->level, c->data, c->len, c->packed, c->room,
		&c->packed_len);
	return ret < 0 ? err_sys(err, -ret, "compression") : 0;
}

/* A line when it begins to be too slow, and one when that is over. */
static int judge_rate(struct copy *y, bool slow, uint64_t rate, struct err *err)
{
	const unsigned mb = 1000 * 1000;

	if (slow && y->job->abort_slow)
		return err_set(err, ETIMEDOUT,
			"too slow: %.1f MB/s for %d s, the minimum is %.1f MB/s", (double)rate / mb,
			RATE_SECONDS, (double)y->job->min_rate / mb);
	if (slow && !y->said_slow)
		log_warn("slow: %.1f MB/s for %d s, below the minimum of %.1f MB/s",
			(double)rate / mb, RATE_SECONDS, (double)y->job->min_rate / mb);
	else if (!slow && y->said_slow)
		log_info("no longer slow: %.1f MB/s", (double)rate / mb);
	y->said_slow = slow;
	return 0;
}

static int tell(void *owner, struct err *err)
{
	struct copy *y = owner;
	uint64_t now = clock_ms();
	struct copy_progress p = {.total = y->rate.total, .done = y->rate.done};
	int ret;

	if (now - y->told < TELL_MS && p.done < p.total)
		return 0;
	y->told = now;
	p.rate = rate_now(&y->rate, now);
	p.left = rate_left(&y->rate, now);
	p.slow = rate_is_slow(&y->rate, now);
	ret = judge_rate(y, p.slow, p.rate, err);
	if (ret == 0 && y->job->watch)
		ret = y->job->watch(y->job->owner, &p, err);
	return ret;
}

/* Waits until as much as was done may be done. */
static void keep_max(const struct copy *y)
{
	uint64_t done = y->rate.done - y->first, now;
	uint64_t due;

	if (y->job->max_rate == 0)
		return;
	due = y->began + (uint64_t)((double)done * 1000 / (double)y->job->max_rate);
	while ((now = clock_ms()) < due && !(y->job->stop && atomic_load(y->job->stop))) {
		long ms = (long)MIN_OF(due - now, (uint64_t)PAUSE_MS_MAX);

		nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
	}
}

static int take(void *owner, struct chunk *c, struct err *err)
{
	struct copy *y = owner;
	int ret = y->target->ops->put(y->target, c, err);

	if (ret < 0)
		return ret;
	if (c->same)
		y->result->same++;
	else if (!c->zero)
		y->result->written += c->len;
	y->result->zeros += c->zero;
	rate_note(&y->rate, clock_ms(), y->rate.done + c->len);
	keep_max(y);
	return tell(y, err);
}

static int open_source(struct copy *y, struct err *err)
{
	const struct copy_job *j = y->job;
	struct source_want want = {.chunk_size = j->chunk_size,
		.restore = j->restore,
		.manifest = j->source_manifest,
		.cached = j->cached};

	y->source = j->source->host[0] ? source_far_new(j->source, &want, &j->link, err)
				       : source_local_new(j->source, &want, err);
	if (!y->source)
		return -err->code;
	if (j->restore && j->chunk_size && j->chunk_size != y->source->head.chunk_size)
		return err_set(err, EINVAL, "--chunk: the copy has chunks of %u bytes",
			y->source->head.chunk_size);
	return 0;
}

static void make_plan(struct copy *y)
{
	const struct copy_job *j = y->job;

	y->plan = (struct target_plan){.head = y->source->head,
		.manifest = j->manifest,
		.source = y->source->path,
		.far_source = *j->source->host && strcmp(j->source->host, j->target->host) == 0
			? j->source
			: NULL,
		.restore = j->restore,
		.incremental = j->incremental,
		.trust = j->trust,
		.resume = j->resume,
		.readback = j->readback,
		.dry_run = j->dry_run,
		.prepare = j->prepare,
		.threads = j->threads ? j->threads : COPY_THREADS,
		.stop = j->stop};
	y->plan.head.codec = j->codec;
	y->plan.head.created = (uint64_t)time(NULL);
	y->plan.head.stable |= j->stable;
}

static int open_target(struct copy *y, struct err *err)
{
	const struct spec *s = y->job->target;

	if (s->host[0])
		y->target = target_far_new(s, &y->job->link, err);
	else
		y->target = target_local_new(s);
	if (!y->target)
		return err->code ? -err->code : err_set(err, ENOMEM, "out of memory");
	return 0;
}

static void cut(void *owner)
{
	struct copy *y = owner;

	if (y->source->ops->cut)
		y->source->ops->cut(y->source);
	if (y->target->ops->cut)
		y->target->ops->cut(y->target);
}

static int move_all(struct copy *y, struct err *err)
{
	const struct manifest_head *h = &y->plan.head;
	struct pipeline p = {.first = y->result->first,
		.end = manifest_chunks(h),
		.chunk_size = h->chunk_size,
		.threads = y->plan.threads,
		.stop = y->job->stop,
		.make = make,
		.take = take,
		.tick = tell,
		.cut = cut,
		.owner = y};

	y->began = y->told = clock_ms();
	y->first = MIN_OF(p.first * h->chunk_size, h->size);
	rate_init(&y->rate, y->began, h->size, y->job->min_rate);
	y->rate.done = y->rate.marks[0].done = y->first;
	y->result->size = h->size;
	y->result->chunks = p.end;
	return pipeline_run(&p, err);
}

/* The LV of this host. Positive: there is nothing more to do. */
static int prepare_here(struct copy *y, struct err *err)
{
	const struct spec *s = y->job->target;
	enum target_lv_found found;
	int ret;

	if (s->host[0] || s->kind != SPEC_LVM)
		return 0;
	ret = target_lv_prepare(s, y->plan.head.size, y->plan.source, y->job->dry_run, &found, err);
	if (ret < 0)
		return ret;
	/* What is not there, or too small, cannot be looked at any further. */
	return y->job->prepare || (y->job->dry_run && found != TARGET_LV_GOOD);
}

static int run(struct copy *y, struct err *err)
{
	int ret = open_source(y, err);

	if (ret < 0)
		return ret;
	make_plan(y);
	ret = prepare_here(y, err);
	if (ret != 0)
		return MIN_OF(ret, 0);
	ret = open_target(y, err);
	if (ret == 0)
		ret = y->target->ops->begin(y->target, &y->plan, &y->result->first, err);
	if (ret < 0 || y->job->dry_run || y->job->prepare)
		return ret;
	ret = move_all(y, err);
	if (ret == 0)
		ret = y->source->ops->finish(y->source, err);
	if (ret == 0)
		ret = y->target->ops->commit(y->target, &y->result->target, err);
	y->result->ms = clock_ms() - y->began;
	return ret;
}

int copy_run(const struct copy_job *job, struct copy_result *ret, struct err *err)
{
	struct copy y = {.job = job, .result = ret};
	int r;

	*ret = (struct copy_result){0};
	*err = (struct err){0};
	r = run(&y, err);
	target_free(y.target);
	source_free(y.source);
	return r;
}
