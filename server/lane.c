/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads and memory of a worker. When slots or buffers run out, connections queue up in
 * `waiting` and are woken in order as something is put back; meanwhile a connection that holds
 * memory and hardly moves a byte in STALL_MS is ended, so that nobody can starve the others.
 */
#include "lane.h"

#include "conn.h"
#include "log.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

enum {
	SLAB_SLOTS = 64,
	STALL_MS = 10 * 1000,
	RELIEF_MS = 1000,
	IDLE_MS = 2000,
	REST_LOOKS = 4,           /* in the time a connection may rest, */
	REST_LOOK_MS = 10 * 1000, /* and at least so often */
};

struct slot_slab {
	struct slot_slab *next;
	struct request slots[SLAB_SLOTS];
};

static void add_slab(struct lane *l)
{
	struct slot_slab *slab = malloc(sizeof(*slab));

	if (!slab)
		return;
	slab->next = l->slabs;
	l->slabs = slab;
	for (int i = 0; i < SLAB_SLOTS; i++) {
		slab->slots[i].next = l->free_slots;
		l->free_slots = &slab->slots[i];
	}
}

static struct pipe *new_pipe(struct lane *l)
{
	struct pipe *p = calloc(1, sizeof(*p));
	int bytes;

	if (!p || pipe2(p->fds, O_CLOEXEC) < 0) {
		free(p);
		return NULL;
	}
	bytes = fcntl(p->fds[1], F_SETPIPE_SZ, LANE_PIPE_BYTES);
	if (bytes < 0)
		bytes = fcntl(p->fds[1], F_GETPIPE_SZ);
	p->pages = (size_t)MAX_OF(bytes, 0) / POOL_PAGE;
	l->pipes++;
	return p;
}

static void free_pipe(struct lane *l, struct pipe *p)
{
	close(p->fds[0]);
	close(p->fds[1]);
	free(p);
	l->pipes--;
}

struct pipe *lane_get_pipe(struct lane *l, uint64_t offset, uint64_t length)
{
	uint64_t pages = (offset + length - 1) / POOL_PAGE - offset / POOL_PAGE + 1;
	struct pipe *p = l->free_pipes;

	if (p)
		l->free_pipes = p->next;
	else if (l->pipes < LANE_PIPES_MAX)
		p = new_pipe(l);
	if (p && pages > p->pages) {
		p->next = l->free_pipes;
		l->free_pipes = p;
		p = NULL;
	}
	return p;
}

static void free_pipes(struct lane *l)
{
	while (l->free_pipes) {
		struct pipe *p = l->free_pipes;

		l->free_pipes = p->next;
		free_pipe(l, p);
	}
}

/* One whose reply was not sent to its end still holds pages. */
void lane_put_pipe(struct lane *l, struct pipe *p)
{
	if (p->used) {
		free_pipe(l, p);
		return;
	}
	p->next = l->free_pipes;
	l->free_pipes = p;
}

struct request *lane_get_request(struct lane *l, size_t len)
{
	struct request *rq;
	uint8_t *data = NULL;

	if (!l->free_slots)
		add_slab(l);
	if (!l->free_slots || (len > 0 && !(data = pool_get(&l->pool, len))))
		return NULL;
	rq = l->free_slots;
	l->free_slots = rq->next;
	memset(rq, 0, offsetof(struct request, ios));
	rq->data = data;
	rq->data_cost = len ? pool_cost(len) : 0;
	rq->next = NULL;
	l->activity++;
	if (!l->idle.slot)
		reactor_timer_set(&l->reactor, &l->idle, IDLE_MS);
	return rq;
}

void lane_put_data(struct lane *l, struct request *rq)
{
	if (rq->data)
		pool_put(&l->pool, rq->data);
	rq->data = NULL;
	rq->data_cost = 0;
	if (l->waiting)
		reactor_defer(&l->reactor, &l->wake);
}

void lane_put_request(struct lane *l, struct request *rq)
{
	lane_put_data(l, rq);
	if (rq->pipe)
		lane_put_pipe(l, rq->pipe);
	if (rq->window)
		windows_put(rq->window);
	rq->next = l->free_slots;
	l->free_slots = rq;
}

void lane_wait(struct lane *l, struct conn *c)
{
	if (c->is_waiting)
		return;
	c->is_waiting = true;
	c->next_waiting = NULL;
	*l->waiting_last = c;
	l->waiting_last = &c->next_waiting;
	if (!l->relief.slot)
		reactor_timer_set(&l->reactor, &l->relief, RELIEF_MS);
}

void lane_unwait(struct lane *l, struct conn *c)
{
	struct conn **p = &l->waiting;

	if (!c->is_waiting)
		return;
	while (*p != c)
		p = &(*p)->next_waiting;
	*p = c->next_waiting;
	if (l->waiting_last == &c->next_waiting)
		l->waiting_last = p;
	c->is_waiting = false;
}

/* Each is asked once; who still finds no room keeps its place, so that a long request has its turn.
 */
static void wake_waiting(struct reactor_task *t)
{
	struct lane *l = container_of(t, struct lane, wake);
	struct conn *c = l->waiting;

	l->waiting = NULL;
	l->waiting_last = &l->waiting;
	while (c) {
		struct conn *next = c->next_waiting;

		c->is_waiting = false;
		conn_resume(c);
		c = next;
	}
}

static void relieve(struct reactor_timer *t)
{
	struct lane *l = container_of(t, struct lane, relief);

	if (!l->waiting)
		return;
	for (struct conn *c = l->conns; c; c = c->next) {
		if (conn_is_stalled(c, l->reactor.now, STALL_MS)) {
			conn_log(c, LOG_LEVEL_WARN,
				"ended: holds memory others wait for, and is stalled");
			conn_kill(c);
		}
	}
	reactor_timer_set(&l->reactor, &l->relief, RELIEF_MS);
}

static void check_idle(struct reactor_timer *t)
{
	struct lane *l = container_of(t, struct lane, idle);

	if (l->activity == l->activity_seen && l->pool.used == 0) {
		pool_trim(&l->pool);
		windows_trim(&l->windows);
		free_pipes(l);
		return;
	}
	l->activity_seen = l->activity;
	reactor_timer_set(&l->reactor, &l->idle, IDLE_MS);
}

static void end_resting(struct reactor_timer *t)
{
	struct lane *l = container_of(t, struct lane, rest);

	for (struct conn *c = l->conns; c; c = c->next) {
		if (!conn_is_idle(c, l->reactor.now, l->limits.idle_ms))
			continue;
		conn_log(c, LOG_LEVEL_INFO, "ended: sent nothing for %u s",
			(unsigned)(l->limits.idle_ms / 1000));
		conn_leave(c);
	}
	if (l->conns)
		lane_watch_rest(l);
}

void lane_set_idle(struct lane *l, uint64_t ms)
{
	if (ms == l->limits.idle_ms)
		return;
	reactor_timer_cancel(&l->reactor, &l->rest);
	l->limits.idle_ms = ms;
	for (struct conn *c = l->conns; c; c = c->next)
		c->rest_since = l->reactor.now; /* nobody looked before */
	if (l->conns)
		lane_watch_rest(l);
}

void lane_watch_rest(struct lane *l)
{
	if (l->limits.idle_ms && !l->rest.slot)
		reactor_timer_set(&l->reactor, &l->rest,
			MIN_OF(l->limits.idle_ms / REST_LOOKS, (uint64_t)REST_LOOK_MS));
}

static void adopt_task(struct reactor_task *t)
{
	struct conn *c = container_of(t, struct conn, adopt);

	conn_begin(c);
}

void lane_adopt(struct lane *l, struct conn *c)
{
	c->lane = l;
	if (!c->storage)
		c->storage = l->storage;
	c->rules.size = c->storage->facts.size;
	c->rules.block_min = c->storage->facts.block_min;
	c->rules.block_max = c->storage->facts.block_max;
	c->adopt.fn = adopt_task;
	reactor_post(&l->reactor, &c->adopt);
}

static void drain_conns(struct reactor_task *t)
{
	struct lane *l = container_of(t, struct lane, drain_task);

	l->draining = true;
	for (struct conn *c = l->conns; c; c = c->next)
		conn_leave(c);
}

static void kill_conns(struct reactor_task *t)
{
	struct lane *l = container_of(t, struct lane, kill_task);

	l->draining = true;
	for (struct conn *c = l->conns; c; c = c->next)
		conn_kill(c);
}

void lane_drain(struct lane *l)
{
	l->drain_task.fn = drain_conns;
	reactor_post(&l->reactor, &l->drain_task);
}

void lane_kill(struct lane *l)
{
	l->kill_task.fn = kill_conns;
	reactor_post(&l->reactor, &l->kill_task);
}

int lane_init(struct lane *l, struct storage *st, enum engine_kind kind, struct io_threads *threads,
	const struct lane_limits *limits, struct err *err)
{
	int ret;

	memset(l, 0, sizeof(*l));
	l->storage = st;
	l->limits = *limits;
	gate_init(&l->gate);
	l->waiting_last = &l->waiting;
	l->wake.fn = wake_waiting;
	l->relief.fn = relieve;
	l->idle.fn = check_idle;
	l->rest.fn = end_resting;
	ret = reactor_init(&l->reactor);
	if (ret < 0)
		return err_sys(err, -ret, "event loop");
	windows_init(&l->windows, limits->windows);
	reactor_busy_poll(&l->reactor, limits->poll_ns);
	ret = engine_open(&l->engine, kind, &l->reactor, threads);
	if (ret < 0)
		return err_sys(err, -ret, "io_uring is not to be had here; use --engine=threads");
	l->rx = malloc(LANE_RX_BYTES);
	if (!l->rx || pool_init(&l->pool, limits->buffer_bytes) < 0)
		return err_sys(err, ENOMEM, "buffers");
	return 0;
}

static void *lane_main(void *arg)
{
	struct lane *l = arg;
	int ret = reactor_run(&l->reactor);

	if (ret < 0)
		log_error("event loop: %s", strerror(-ret));
	return NULL;
}

int lane_start(struct lane *l)
{
	sigset_t all, old;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = -pthread_create(&l->thread, NULL, lane_main, l);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

void lane_done(struct lane *l)
{
	if (l->thread) {
		reactor_stop(&l->reactor);
		pthread_join(l->thread, NULL);
	}
	engine_close(&l->engine);
	free_pipes(l);
	windows_done(&l->windows);
	pool_done(&l->pool);
	free(l->rx);
	while (l->slabs) {
		struct slot_slab *slab = l->slabs;

		l->slabs = slab->next;
		free(slab);
	}
	reactor_done(&l->reactor);
}
