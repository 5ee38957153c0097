/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A ring of chunks; see pipeline.h. The chunk I lives in slot I modulo the number of slots; a
 * thread takes the next index when its slot is free, so slots fill in any order and empty in one.
 * `lock` guards all but what is in a slot that a thread or the taker has for itself.
 */
#include "pipeline.h"

#include "util.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum slot_state { FREE, MAKING, READY };

struct slot {
	struct chunk chunk;
	enum slot_state state;
};

struct ring {
	const struct pipeline *p;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct slot *slots;
	size_t count;
	uint64_t next; /* index to be made */
	bool ended;
	struct err err; /* of the first that failed */
};

static bool stopped(const struct ring *r)
{
	return r->p->stop && atomic_load(r->p->stop);
}

/* With the lock held. */
static void fail(struct ring *r, const struct err *err)
{
	if (!r->ended && r->err.code == 0)
		r->err = *err;
	r->ended = true;
	pthread_cond_broadcast(&r->changed);
}

/* With the lock held: waits for something to make. NULL: nothing is left. */
static struct slot *next_slot(struct ring *r)
{
	struct slot *s;

	for (;;) {
		if (r->ended || r->next == r->p->end)
			return NULL;
		s = &r->slots[r->next % r->count];
		if (s->state == FREE)
			break;
		pthread_cond_wait(&r->changed, &r->lock);
	}
	s->state = MAKING;
	s->chunk.index = r->next++;
	s->chunk.packed_len = 0;
	s->chunk.zero = s->chunk.same = false;
	return s;
}

static void *maker(void *arg)
{
	struct ring *r = arg;
	struct err err = {0};
	struct slot *s;

	pthread_mutex_lock(&r->lock);
	while ((s = next_slot(r))) {
		int ret;

		pthread_mutex_unlock(&r->lock);
		ret = r->p->make(r->p->owner, &s->chunk, &err);
		pthread_mutex_lock(&r->lock);
		if (ret < 0)
			fail(r, &err);
		s->state = READY;
		pthread_cond_broadcast(&r->changed);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* With the lock held: waits a little. Somebody who stalls is watched, and can be interrupted. */
static void wait_a_little(struct ring *r)
{
	struct err err = {0};
	struct timespec until;
	int ret = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec++;
	if (pthread_cond_clockwait(&r->changed, &r->lock, CLOCK_MONOTONIC, &until) != ETIMEDOUT)
		return;
	pthread_mutex_unlock(&r->lock);
	if (stopped(r))
		ret = err_set(&err, EINTR, "interrupted");
	else if (r->p->tick)
		ret = r->p->tick(r->p->owner, &err);
	pthread_mutex_lock(&r->lock);
	if (ret < 0)
		fail(r, &err);
}

static void take_all(struct ring *r)
{
	struct err err = {0};

	pthread_mutex_lock(&r->lock);
	for (uint64_t i = r->p->first; i < r->p->end && !r->ended; i++) {
		struct slot *s = &r->slots[i % r->count];
		int ret;

		while (!r->ended && (s->state != READY || s->chunk.index != i))
			wait_a_little(r);
		if (r->ended)
			break;
		pthread_mutex_unlock(&r->lock);
		ret = stopped(r) ? err_set(&err, EINTR, "interrupted")
				 : r->p->take(r->p->owner, &s->chunk, &err);
		pthread_mutex_lock(&r->lock);
		if (ret < 0)
			fail(r, &err);
		s->state = FREE;
		pthread_cond_broadcast(&r->changed);
	}
	r->ended = true;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

static int make_slots(struct ring *r)
{
	size_t room = codec_room_most(r->p->chunk_size);

	r->slots = calloc(r->count, sizeof(*r->slots));
	if (!r->slots)
		return -ENOMEM;
	for (size_t i = 0; i < r->count; i++) {
		struct chunk *c = &r->slots[i].chunk;

		c->room = room;
		c->data = aligned_alloc(PIPELINE_ALIGN, round_up(r->p->chunk_size, PIPELINE_ALIGN));
		c->packed = malloc(room);
		if (!c->data || !c->packed)
			return -ENOMEM;
	}
	return 0;
}

static void free_slots(struct ring *r)
{
	for (size_t i = 0; r->slots && i < r->count; i++) {
		free(r->slots[i].chunk.data);
		free(r->slots[i].chunk.packed);
	}
	free(r->slots);
}

int pipeline_run(const struct pipeline *p, struct err *err)
{
	struct ring r = {.p = p, .count = 2 * (size_t)p->threads + 2, .next = p->first};
	pthread_t threads[PIPELINE_THREADS_MAX];
	unsigned started = 0;

	if (p->first >= p->end)
		return 0;
	pthread_mutex_init(&r.lock, NULL);
	pthread_cond_init(&r.changed, NULL);
	if (make_slots(&r) < 0)
		err_set(&r.err, ENOMEM, "no memory for chunks of %u bytes", p->chunk_size);
	while (r.err.code == 0 && started < MIN_OF(p->threads, (unsigned)PIPELINE_THREADS_MAX)) {
		int e = pthread_create(&threads[started], NULL, maker, &r);

		if (e == 0)
			started++;
		else if (started == 0)
			err_sys(&r.err, e, "no thread");
		else
			break; /* fewer will do */
	}
	if (r.err.code == 0)
		take_all(&r);
	if (r.err.code && p->cut)
		p->cut(p->owner);
	while (started > 0)
		pthread_join(threads[--started], NULL);
	free_slots(&r);
	pthread_cond_destroy(&r.changed);
	pthread_mutex_destroy(&r.lock);
	if (r.err.code == 0)
		return 0;
	*err = r.err;
	return -r.err.code;
}
