/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Comparing blocks of a proxy with its origin. What a client wrote is not compared, whether before
 * or while the origin was asked. Blocks are asked for in batches: one by one, a distant origin
 * would take minutes. May block; never runs in a lane.
 */
#include "clock.h"
#include "proxy_inner.h"
#include "sparse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { BATCH = 64 };

struct batch {
	struct proxy_ask asks[BATCH];
	uint64_t blocks[BATCH];
	uint8_t theirs[BATCH][PROXY_BLOCK];
	size_t count;
};

static uint64_t random_below(uint64_t n)
{
	uint64_t r = 0;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) < 0)
		r = clock_ns();
	return r % n;
}

/* Present, and as it was fetched. */
static bool is_comparable(const struct proxy *p, uint64_t block)
{
	return bitmap_test(&p->layer.map.present, block) &&
		!bitmap_test(&p->layer.map.written, block);
}

static void add(struct proxy *p, struct batch *b, uint64_t block)
{
	const struct claim c = {.first = block, .count = 1};

	b->blocks[b->count] = block;
	b->asks[b->count].job = (struct origin_job){.kind = ORIGIN_READ,
		.offset = layer_offset(&p->layer, block),
		.length = layer_length(&p->layer, &c),
		.buf = b->theirs[b->count]};
	b->count++;
}

/* 1 = the same (or a client wrote it meanwhile), 0 = different, -errno. */
static int compare(struct proxy *p, const struct batch *b, size_t i)
{
	const struct origin_job *job = &b->asks[i].job;
	uint8_t ours[PROXY_BLOCK];
	int ret = job->result;

	if (ret == 0)
		ret = sparse_read(p->layer.top, job->offset, ours, (size_t)job->length);
	if (ret < 0)
		return ret;
	return memcmp(ours, b->theirs[i], (size_t)job->length) == 0 ||
		!is_comparable(p, b->blocks[i]);
}

static void note_different(struct proxy_verdict *v, uint64_t offset)
{
	if (v->different++ == 0 || offset < v->first_different)
		v->first_different = offset;
}

static int run(struct proxy *p, struct batch *b, struct proxy_verdict *v, struct err *err)
{
	int ret = proxy_ask(p, b->asks, b->count);

	if (ret < 0)
		return err_sys(err, -ret, "origin");
	for (size_t i = 0; i < b->count; i++) {
		uint64_t offset = b->asks[i].job.offset;
		int same = compare(p, b, i);

		if (same < 0)
			return err_sys(err, -same, "origin: byte %llu", (unsigned long long)offset);
		v->checked++;
		if (same == 0)
			note_different(v, offset);
	}
	b->count = 0;
	return 0;
}

static int sample(struct proxy *p, uint64_t samples, struct batch *b, struct proxy_verdict *v,
	struct err *err)
{
	uint64_t blocks = p->layer.map.blocks, count = samples < blocks ? samples : blocks;
	int ret = 0;

	for (uint64_t i = 0; i < count && ret == 0; i++) {
		uint64_t block = samples < blocks ? random_below(blocks) : i;

		if (is_comparable(p, block))
			add(p, b, block);
		else
			v->skipped++;
		if (b->count == BATCH)
			ret = run(p, b, v, err);
	}
	return ret == 0 && b->count > 0 ? run(p, b, v, err) : ret;
}

int proxy_verify(struct proxy *p, uint64_t samples, struct proxy_verdict *ret, struct err *err)
{
	struct batch *b;
	int r;

	*ret = (struct proxy_verdict){0};
	if (p->switched)
		return err_set(err, EINVAL, "it is a target, and has no origin to compare with");
	b = malloc(sizeof(*b));
	if (!b)
		return err_sys(err, ENOMEM, "verify");
	b->count = 0;
	r = sample(p, samples, b, ret, err);
	free(b);
	return r;
}
