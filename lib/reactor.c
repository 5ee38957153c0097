/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event loop of every process and thread of the suite.
 *
 * A turn: wait, take the time, deliver the fetched events, run posted tasks, fire timers, run what
 * was deferred. Removing a watch clears its remaining events of the turn, so a callback may free
 * any other object.
 */
#include "reactor.h"

#include "clock.h"
#include "util.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>

enum { DEFERRED_MAX = 1024, HOT_TURNS = 8, HOT_LOOKS = 4, LOOK_FOUND = INT_MAX };

static void queue_init(struct reactor_queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

static void queue_add(struct reactor_queue *q, struct reactor_task *t)
{
	t->next = NULL;
	*q->last = t;
	q->last = &t->next;
}

static struct reactor_task *queue_pop(struct reactor_queue *q)
{
	struct reactor_task *t = q->first;

	if (!t)
		return NULL;
	q->first = t->next;
	if (!q->first)
		q->last = &q->first;
	return t;
}

static void drain_wake(struct reactor_watch *w, uint32_t events)
{
	uint64_t n;

	(void)events;
	if (read(w->fd, &n, sizeof(n)) < 0)
		return; /* spurious; the queue is looked at every turn anyway */
}

int reactor_init(struct reactor *r)
{
	int ret;

	memset(r, 0, sizeof(*r));
	queue_init(&r->deferred);
	queue_init(&r->posted);
	pthread_mutex_init(&r->lock, NULL);
	r->wake_fd = -1;
	r->now_ns = clock_ns();
	r->now = clock_ms_at(r->now_ns);
	r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (r->epoll_fd < 0)
		return -errno;
	r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = r->wake_fd < 0 ? -errno : reactor_add(r, &r->wake, r->wake_fd, EPOLLIN, drain_wake);
	if (ret < 0)
		reactor_done(r);
	return ret;
}

void reactor_done(struct reactor *r)
{
	fd_close(&r->wake_fd);
	fd_close(&r->epoll_fd);
	free(r->heap);
	r->heap = NULL;
	r->timers = r->heap_room = 0;
	pthread_mutex_destroy(&r->lock);
}

void reactor_busy_poll(struct reactor *r, uint64_t ns)
{
	spin_init(&r->spin, ns);
}

int reactor_add(struct reactor *r, struct reactor_watch *w, int fd, uint32_t events,
	void (*fn)(struct reactor_watch *, uint32_t))
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	*w = (struct reactor_watch){.fd = fd, .events = events, .fn = fn};
	if (epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		w->fn = NULL;
		return -errno;
	}
	return 0;
}

int reactor_change(struct reactor *r, struct reactor_watch *w, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	if (w->events == events)
		return 0;
	if (epoll_ctl(r->epoll_fd, EPOLL_CTL_MOD, w->fd, &ev) < 0)
		return -errno;
	w->events = events;
	return 0;
}

void reactor_remove(struct reactor *r, struct reactor_watch *w)
{
	if (!w->fn)
		return;
	epoll_ctl(r->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
	reactor_forget(r, w);
}

void reactor_forget(struct reactor *r, struct reactor_watch *w)
{
	w->fn = NULL;
	if (r->hot == w)
		r->hot = NULL;
	for (int i = 0; i < r->batch_len; i++) {
		if (r->batch[i].data.ptr == w)
			r->batch[i].data.ptr = NULL;
	}
}

/* Timers: a binary heap of pointers; slot k (from 1) has its children at 2k and 2k + 1. */

static void heap_put(struct reactor *r, size_t slot, struct reactor_timer *t)
{
	r->heap[slot - 1] = t;
	t->slot = slot;
}

static void heap_up(struct reactor *r, struct reactor_timer *t)
{
	size_t slot = t->slot;

	for (; slot > 1 && r->heap[slot / 2 - 1]->at > t->at; slot /= 2)
		heap_put(r, slot, r->heap[slot / 2 - 1]);
	heap_put(r, slot, t);
}

static void heap_down(struct reactor *r, struct reactor_timer *t)
{
	size_t slot = t->slot;

	for (;;) {
		size_t child = 2 * slot;

		if (child < r->timers && r->heap[child]->at < r->heap[child - 1]->at)
			child++;
		if (child > r->timers || r->heap[child - 1]->at >= t->at)
			break;
		heap_put(r, slot, r->heap[child - 1]);
		slot = child;
	}
	heap_put(r, slot, t);
}

static int heap_reserve(struct reactor *r)
{
	size_t room = r->heap_room ? 2 * r->heap_room : 64;
	void *p;

	if (r->timers < r->heap_room)
		return 0;
	p = realloc(r->heap, room * sizeof(struct reactor_timer *));
	if (!p)
		return -ENOMEM;
	r->heap = p;
	r->heap_room = room;
	return 0;
}

int reactor_timer_set(struct reactor *r, struct reactor_timer *t, uint64_t after)
{
	if (!t->slot) {
		if (heap_reserve(r) < 0)
			return -ENOMEM;
		heap_put(r, ++r->timers, t);
		t->at = UINT64_MAX;
	}
	t->at = r->now + after;
	heap_up(r, t);
	heap_down(r, t);
	return 0;
}

void reactor_timer_cancel(struct reactor *r, struct reactor_timer *t)
{
	size_t slot = t->slot;
	struct reactor_timer *last;

	if (!slot)
		return;
	t->slot = 0;
	last = r->heap[--r->timers];
	if (last == t)
		return;
	heap_put(r, slot, last);
	heap_up(r, last);
	heap_down(r, last);
}

static void fire_timers(struct reactor *r)
{
	while (r->timers > 0 && r->heap[0]->at <= r->now) {
		struct reactor_timer *t = r->heap[0];

		reactor_timer_cancel(r, t);
		t->fn(t);
	}
}

static int wait_ms(const struct reactor *r)
{
	uint64_t left;

	if (r->deferred.first)
		return 0;
	if (r->timers == 0)
		return -1;
	left = r->heap[0]->at > r->now ? r->heap[0]->at - r->now : 0;
	return (int)MIN_OF(left, (uint64_t)60000);
}

void reactor_defer(struct reactor *r, struct reactor_task *t)
{
	if (t->queued)
		return;
	t->queued = true;
	queue_add(&r->deferred, t);
}

static void queue_remove(struct reactor_queue *q, const struct reactor_task *t)
{
	struct reactor_queue kept;
	struct reactor_task *other;

	queue_init(&kept);
	while ((other = queue_pop(q))) {
		if (other != t)
			queue_add(&kept, other);
	}
	queue_init(q);
	while ((other = queue_pop(&kept)))
		queue_add(q, other);
}

void reactor_undefer(struct reactor *r, struct reactor_task *t)
{
	if (!t->queued)
		return;
	queue_remove(&r->deferred, t);
	t->queued = false;
}

/* Tasks that defer tasks without end must not keep timers and sockets waiting. */
static void run_deferred(struct reactor *r)
{
	struct reactor_task *t;

	for (int i = 0; i < DEFERRED_MAX && (t = queue_pop(&r->deferred)); i++) {
		t->queued = false;
		t->fn(t);
	}
}

void reactor_post(struct reactor *r, struct reactor_task *t)
{
	uint64_t one = 1;
	ssize_t ignored = 0; /* a full counter still wakes the reader */
	bool first;

	pthread_mutex_lock(&r->lock);
	first = !r->posted.first;
	queue_add(&r->posted, t);
	/* Under the lock: when T runs we are done with R, which may be at its end then. */
	if (first)
		ignored = write(r->wake_fd, &one, sizeof(one));
	pthread_mutex_unlock(&r->lock);
	(void)ignored;
}

void reactor_unpost(struct reactor *r, struct reactor_task *t)
{
	pthread_mutex_lock(&r->lock);
	queue_remove(&r->posted, t);
	pthread_mutex_unlock(&r->lock);
}

static void run_posted(struct reactor *r)
{
	struct reactor_queue taken;
	struct reactor_task *t;

	queue_init(&taken);
	pthread_mutex_lock(&r->lock);
	while ((t = queue_pop(&r->posted)))
		queue_add(&taken, t);
	pthread_mutex_unlock(&r->lock);
	while ((t = queue_pop(&taken)))
		t->fn(t);
}

static void deliver(struct reactor *r)
{
	for (int i = 0; i < r->batch_len; i++) {
		struct reactor_watch *w = r->batch[i].data.ptr;

		if (w)
			w->fn(w, r->batch[i].events);
	}
	r->batch_len = 0;
}

static int fetch(struct reactor *r, int timeout)
{
	return epoll_wait(r->epoll_fd, r->batch, REACTOR_BATCH, timeout);
}

static bool is_hot(const struct reactor *r)
{
	return r->hot && r->hot->look && r->hot_turns < HOT_TURNS;
}

/*
 * One request after the other from one client: its socket is looked at directly, which saves a call
 * for each. But not for long, others may have come.
 */
static bool hot_had_input(struct reactor *r)
{
	if (!is_hot(r) || !r->hot->look(r->hot))
		return false;
	r->hot_turns++;
	return true;
}

/*
 * Whoever else could use this processor goes first: looking only uses up time nobody wants.
 * LOOK_FOUND: the hot one had input.
 */
static int look_until(struct reactor *r, uint64_t end)
{
	for (unsigned i = 1;; i++) {
		int n;

		if (hot_had_input(r))
			return LOOK_FOUND;
		n = is_hot(r) && i % HOT_LOOKS ? 0 : fetch(r, 0);
		if (n != 0)
			return n;
		sched_yield();
		r->now_ns = clock_ns();
		if (r->now_ns >= end)
			return 0;
	}
}

static int wait_for_events(struct reactor *r)
{
	int timeout = wait_ms(r), n = 0;
	bool look = spin_is_worth(&r->spin);
	uint64_t began;

	if (timeout == 0 || r->spin.budget == 0)
		return fetch(r, timeout);
	began = r->now_ns = clock_ns();
	if (look)
		n = look_until(r, began + r->spin.budget);
	if (n != 0) {
		spin_learn(&r->spin, clock_ns() - began);
		return n == LOOK_FOUND ? 0 : n;
	}
	n = fetch(r, timeout);
	spin_learn(&r->spin, look ? SPIN_MISSED : clock_ns() - began);
	return n;
}

static int turn(struct reactor *r)
{
	int n = wait_for_events(r);

	if (n > 0) {
		r->hot = n == 1 ? r->batch[0].data.ptr : NULL;
		r->hot_turns = 0;
	}
	if (n < 0 && errno != EINTR)
		return -errno;
	r->now_ns = clock_ns();
	r->now = clock_ms_at(r->now_ns);
	r->batch_len = MAX_OF(n, 0);
	deliver(r);
	run_posted(r);
	fire_timers(r);
	run_deferred(r);
	return 0;
}

int reactor_run_until(struct reactor *r, bool (*is_done)(void *arg), void *arg)
{
	int ret = 0;

	while (ret == 0 && !__atomic_load_n(&r->stopped, __ATOMIC_ACQUIRE) &&
		!(is_done && is_done(arg)))
		ret = turn(r);
	return ret;
}

int reactor_run(struct reactor *r)
{
	return reactor_run_until(r, NULL, NULL);
}

void reactor_stop(struct reactor *r)
{
	uint64_t one = 1;

	__atomic_store_n(&r->stopped, true, __ATOMIC_RELEASE);
	if (write(r->wake_fd, &one, sizeof(one)) < 0)
		return; /* full counter: it wakes all the same */
}
