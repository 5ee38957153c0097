/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs of tests for an origin; see asked.h. A job is told about once, from the origin's thread. */
#include "asked.h"

#include "check.h"
#include "origins.h"
#include "rnd.h"
#include "util.h"

#include <string.h>
#include <time.h>

enum { WAIT_S = 20, AT_A_TIME = 24, THREADS_MAX = 8 };

void asked_batch_init(struct batch *b, struct origin *o)
{
	*b = (struct batch){.origin = o};
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->changed, NULL);
}

void asked_batch_wait(struct batch *b)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_S;
	pthread_mutex_lock(&b->lock);
	while (b->open > 0)
		CHECK(pthread_cond_timedwait(&b->changed, &b->lock, &until) == 0);
	pthread_mutex_unlock(&b->lock);
}

unsigned asked_batch_open(struct batch *b)
{
	unsigned open;

	pthread_mutex_lock(&b->lock);
	open = b->open;
	pthread_mutex_unlock(&b->lock);
	return open;
}

void asked_batch_done(struct batch *b)
{
	pthread_mutex_destroy(&b->lock);
	pthread_cond_destroy(&b->changed);
}

static void job_done(struct origin_job *job)
{
	struct asked *a = container_of(job, struct asked, job);
	struct batch *b = a->batch;

	pthread_mutex_lock(&b->lock);
	a->calls++;
	b->open--;
	pthread_cond_signal(&b->changed);
	pthread_mutex_unlock(&b->lock);
}

static void submit(struct asked *a, struct batch *b)
{
	a->batch = b;
	a->job.done = job_done;
	pthread_mutex_lock(&b->lock);
	b->open++;
	pthread_mutex_unlock(&b->lock);
	origin_submit(b->origin, &a->job);
}

void asked_read(struct asked *a, struct batch *b, uint64_t offset, uint64_t length, bool urgent)
{
	*a = (struct asked){.job = {.kind = ORIGIN_READ,
				    .offset = offset,
				    .length = length,
				    .urgent = urgent,
				    .buf = malloc(length + 1)}};
	CHECK(a->job.buf);
	memset(a->job.buf, 0xa5, length + 1);
	submit(a, b);
}

void asked_status(struct asked *a, struct batch *b, uint64_t offset, uint64_t length)
{
	*a = (struct asked){
		.job = {.kind = ORIGIN_STATUS,
			.offset = offset,
			.length = length,
			.extents = calloc(ORIGIN_EXTENTS_MAX, sizeof(struct origin_extent))}};
	CHECK(a->job.extents);
	submit(a, b);
}

int asked_end(struct asked *a)
{
	CHECK(a->calls == 1);
	if (a->job.buf)
		CHECK(a->job.buf[a->job.length] == 0xa5);
	free(a->job.buf);
	free(a->job.extents);
	a->job.buf = NULL;
	a->job.extents = NULL;
	return a->job.result;
}

static int check(struct asked *a)
{
	const struct origin_job *job = &a->job;

	if (job->result == 0)
		CHECK(origins_is_pattern(job->buf, job->length, job->offset));
	return asked_end(a);
}

int asked_one_read(struct origin *o, uint64_t offset, uint64_t length)
{
	struct batch b;
	struct asked a;

	asked_batch_init(&b, o);
	asked_read(&a, &b, offset, length, true);
	asked_batch_wait(&b);
	asked_batch_done(&b);
	return check(&a);
}

struct reader {
	pthread_t thread;
	struct origin *origin;
	unsigned number, count, failed;
	uint64_t size, length_max;
};

static void read_some(struct reader *r, struct batch *b, struct rnd *rnd, unsigned count)
{
	struct asked asked[AT_A_TIME];

	for (unsigned i = 0; i < count; i++) {
		uint64_t length = 1 + rnd_below(rnd, r->length_max);

		asked_read(&asked[i], b, rnd_below(rnd, r->size - length + 1), length,
			rnd_once_in(rnd, 2));
	}
	asked_batch_wait(b);
	for (unsigned i = 0; i < count; i++)
		r->failed += check(&asked[i]) != 0;
}

static void *reader_main(void *arg)
{
	struct reader *r = arg;
	struct batch b;
	struct rnd rnd;

	rnd_init(&rnd, r->number);
	asked_batch_init(&b, r->origin);
	for (unsigned left = r->count; left > 0;) {
		unsigned n = MIN_OF(left, (unsigned)AT_A_TIME);

		read_some(r, &b, &rnd, n);
		left -= n;
	}
	asked_batch_done(&b);
	return NULL;
}

unsigned asked_crowd(
	struct origin *o, unsigned threads, unsigned count, uint64_t size, uint64_t length_max)
{
	struct reader readers[THREADS_MAX];
	unsigned failed = 0;

	CHECK(threads <= THREADS_MAX);
	for (unsigned i = 0; i < threads; i++) {
		readers[i] = (struct reader){.origin = o,
			.number = i,
			.count = count,
			.size = size,
			.length_max = length_max};
		CHECK(pthread_create(&readers[i].thread, NULL, reader_main, &readers[i]) == 0);
	}
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(readers[i].thread, NULL);
		failed += readers[i].failed;
	}
	return failed;
}
