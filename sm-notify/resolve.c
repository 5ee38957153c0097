/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The crew: threads, the jobs they have not begun, and those that are done. It belongs to whoever
 * still uses it, threads that hang in a lookup included; the last one frees it. Everything in it is
 * guarded by its lock; reactor_post() is called under it, so that no thread posts to a reactor that
 * is gone.
 */
#include "resolve.h"

#include "util.h"

#include <errno.h>
#include <malloc.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	STACK = 512 * 1024, /* only what is touched takes memory */
	IDLE_S = 2,         /* a thread without work ends after so long */
	BEGIN_MAX = 8,      /* lookups begun at once, and a millisecond later the next */
	ENDING_MAX = RESOLVE_URGENT_MAX + RESOLVE_OTHERS_MAX + 1,
};

struct job {
	struct job *next;
	uint32_t unit;
	bool urgent;
	char *name, *other;
	size_t count;
	struct addr addrs[RESOLVE_ADDRS_MAX];
};

struct job_list {
	struct job *first, **last;
};

struct worker {
	struct worker *next;
	struct resolve_crew *crew;
	pthread_t thread;
	bool busy; /* in a lookup */
};

struct resolve_crew {
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct resolve *owner; /* NULL: gone, all threads end */
	struct job_list jobs, done;
	struct worker *workers;
	pthread_t retired; /* the last one that ended for want of work, to be joined */
	bool has_retired;
	unsigned refs;          /* workers, the owner, a posted task */
	unsigned threads, busy; /* workers, and those in a lookup: the others take what waits */
	unsigned waiting;       /* jobs not begun */
	bool posted;
	struct reactor_task task; /* takes what is done */
};

/* Jobs. */

static void list_init(struct job_list *l)
{
	l->first = NULL;
	l->last = &l->first;
}

static void list_add(struct job_list *l, struct job *j)
{
	j->next = NULL;
	*l->last = j;
	l->last = &j->next;
}

static struct job *list_take(struct job_list *l)
{
	struct job *j = l->first;

	if (!j)
		return NULL;
	l->first = j->next;
	if (!l->first)
		l->last = &l->first;
	return j;
}

static void job_free(struct job *j)
{
	free(j->name);
	free(j->other);
	free(j);
}

static void list_free(struct job_list *l)
{
	struct job *j;

	while ((j = list_take(l)))
		job_free(j);
}

static struct job *job_new(uint32_t unit, bool urgent, const char *name, const char *other)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->unit = unit;
	j->urgent = urgent;
	j->name = strdup(name);
	j->other = other ? strdup(other) : NULL;
	if (j->name && (j->other || !other))
		return j;
	job_free(j);
	return NULL;
}

static bool has(const struct job *j, const struct addr *a)
{
	for (size_t i = 0; i < j->count; i++) {
		if (addr_equal(&j->addrs[i], a))
			return true;
	}
	return false;
}

static void look_up(struct job *j, const char *name)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *list = NULL;
	struct addr a;

	if (getaddrinfo(name, NULL, &hints, &list) != 0)
		return;
	for (const struct addrinfo *i = list; i && j->count < RESOLVE_ADDRS_MAX; i = i->ai_next) {
		if (addr_from_sock(i->ai_addr, &a, NULL) && !has(j, &a))
			j->addrs[j->count++] = a;
	}
	freeaddrinfo(list);
}

/* Threads. */

/* With the lock, which is released. */
static void crew_leave(struct resolve_crew *c)
{
	bool last = --c->refs == 0;

	pthread_mutex_unlock(&c->lock);
	if (!last)
		return;
	list_free(&c->jobs);
	list_free(&c->done);
	pthread_cond_destroy(&c->work);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static void post(struct resolve_crew *c)
{
	if (c->posted)
		return;
	c->posted = true;
	c->refs++;
	reactor_post(c->owner->reactor, &c->task);
}

/* Waits for a job, but not for ever. */
static struct job *next_job(struct resolve_crew *c)
{
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += IDLE_S;
	while (c->owner && !c->jobs.first && r == 0)
		r = pthread_cond_timedwait(&c->work, &c->lock, &until);
	if (!c->owner || !c->jobs.first)
		return NULL;
	c->waiting--;
	return list_take(&c->jobs);
}

static void work_off(struct worker *w, struct job *j)
{
	struct resolve_crew *c = w->crew;

	w->busy = true;
	c->busy++;
	pthread_mutex_unlock(&c->lock);
	look_up(j, j->name);
	if (j->count == 0 && j->other)
		look_up(j, j->other);
	pthread_mutex_lock(&c->lock);
	w->busy = false;
	c->busy--;
	list_add(&c->done, j);
	if (c->owner)
		post(c);
}

static void strike_off(struct worker *w)
{
	struct worker **p = &w->crew->workers;

	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
	w->crew->threads--;
}

/* Nobody will wait for this thread. */
static void dismiss(struct worker *w)
{
	strike_off(w);
	pthread_detach(w->thread);
}

/* It ends by itself: the next one to do so, or who ends us all, waits for that. Any before it? */
static bool retire(struct worker *w, pthread_t *ret_before)
{
	struct resolve_crew *c = w->crew;
	bool any = c->has_retired;

	strike_off(w);
	*ret_before = c->retired;
	c->retired = w->thread;
	c->has_retired = true;
	return any;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct resolve_crew *c = w->crew;
	struct job *j;
	pthread_t before;
	bool any = false;

	pthread_mutex_lock(&c->lock);
	while ((j = next_job(c)))
		work_off(w, j);
	if (c->owner)
		any = retire(w, &before);
	free(w);
	crew_leave(c);
	if (any)
		pthread_join(before, NULL);
	return NULL;
}

/* With the lock. */
static int start_thread(struct resolve_crew *c)
{
	struct worker *w = calloc(1, sizeof(*w));
	pthread_attr_t attr;
	int r;

	if (!w)
		return -ENOMEM;
	w->crew = c;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	r = pthread_create(&w->thread, &attr, work, w);
	pthread_attr_destroy(&attr);
	if (r != 0) {
		free(w);
		return -r;
	}
	w->next = c->workers;
	c->workers = w;
	c->threads++;
	c->refs++;
	return 0;
}

/* A thread for each job; if there can be no more, those there are take one after the other. */
static void hand_over(struct resolve_crew *c, struct job *j)
{
	pthread_mutex_lock(&c->lock);
	list_add(&c->jobs, j);
	c->waiting++;
	if (c->waiting > c->threads - c->busy && start_thread(c) < 0 && !c->workers) {
		c->waiting--;
		list_add(&c->done, list_take(&c->jobs)); /* nothing found, then */
		post(c);
	}
	pthread_cond_signal(&c->work);
	pthread_mutex_unlock(&c->lock);
}

/* The reactor's side. */

static void begin(struct resolve *s, uint32_t unit, bool urgent)
{
	const char *name = NULL, *other = NULL;
	struct job *j;

	if (!s->handler.begin(s->handler.arg, unit, &name, &other))
		return;
	j = job_new(unit, urgent, name, other);
	if (!j) {
		s->handler.end(s->handler.arg, unit, NULL, 0);
		return;
	}
	s->total++;
	*(urgent ? &s->urgent_busy : &s->others_busy) += 1;
	hand_over(s->crew, j);
}

/* Many threads at once would be in the way of those who need no name. */
static void pump(struct resolve *s)
{
	uint32_t unit;
	int n = 0;

	while (n < BEGIN_MAX && s->urgent_busy < RESOLVE_URGENT_MAX &&
		turns_take(&s->urgent, &unit)) {
		begin(s, unit, true);
		n++;
	}
	while (n < BEGIN_MAX && s->others_busy < RESOLVE_OTHERS_MAX &&
		turns_take(&s->others, &unit)) {
		begin(s, unit, false);
		n++;
	}
	if (n == BEGIN_MAX)
		reactor_timer_set(s->reactor, &s->next, 1);
}

static void on_pump(struct reactor_task *t)
{
	struct resolve *s = container_of(t, struct resolve, pump);

	if (!s->next.slot) /* else soon */
		pump(s);
}

static void on_next(struct reactor_timer *t)
{
	pump(container_of(t, struct resolve, next));
}

static void tell(struct resolve *s, struct job *j)
{
	*(j->urgent ? &s->urgent_busy : &s->others_busy) -= 1;
	s->handler.end(s->handler.arg, j->unit, j->addrs, j->count);
	job_free(j);
}

static void take_done(struct reactor_task *t)
{
	struct resolve_crew *c = container_of(t, struct resolve_crew, task);
	struct resolve *s;
	struct job *j, *next;

	pthread_mutex_lock(&c->lock);
	j = c->done.first;
	list_init(&c->done);
	c->posted = false;
	s = c->owner; /* there: else it would have taken the task back */
	crew_leave(c);
	for (; j; j = next) {
		next = j->next;
		tell(s, j);
	}
	reactor_defer(s->reactor, &s->pump);
}

void resolve_want(struct resolve *s, uint32_t unit, bool urgent)
{
	turns_add(urgent ? &s->urgent : &s->others, unit);
	reactor_defer(s->reactor, &s->pump);
}

static struct resolve_crew *crew_new(struct resolve *s)
{
	struct resolve_crew *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;

	if (!c)
		return NULL;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->work, &attr);
	pthread_condattr_destroy(&attr);
	list_init(&c->jobs);
	list_init(&c->done);
	c->task.fn = take_done;
	c->owner = s;
	c->refs = 1;
	return c;
}

int resolve_init(
	struct resolve *s, struct reactor *r, uint32_t units, const struct resolve_handler *h)
{
	*s = (struct resolve){.reactor = r, .handler = *h};
	s->pump.fn = on_pump;
	s->next.fn = on_next;
	mallopt(M_ARENA_MAX, 1); /* a heap for each thread would cost more than the peers */
	s->crew = crew_new(s);
	if (s->crew && turns_init(&s->urgent, units) == 0 && turns_init(&s->others, units) == 0)
		return 0;
	resolve_done(s);
	return -ENOMEM;
}

/* Threads that hang are left behind; how many are not, and will end now. With the lock. */
static size_t part(struct resolve_crew *c, pthread_t ret[ENDING_MAX])
{
	struct worker *next;
	size_t n = 0;

	for (struct worker *w = c->workers; w; w = next) {
		next = w->next;
		if (w->busy)
			dismiss(w);
		else
			ret[n++] = w->thread;
	}
	if (c->has_retired)
		ret[n++] = c->retired;
	return n;
}

static void crew_done(struct resolve *s, struct resolve_crew *c)
{
	pthread_t ending[ENDING_MAX];
	size_t n;

	pthread_mutex_lock(&c->lock);
	c->owner = NULL;
	if (c->posted)
		reactor_unpost(s->reactor, &c->task);
	c->refs -= c->posted;
	c->posted = false;
	n = part(c, ending);
	pthread_cond_broadcast(&c->work);
	crew_leave(c);
	for (size_t i = 0; i < n; i++)
		pthread_join(ending[i], NULL);
}

void resolve_done(struct resolve *s)
{
	if (!s->reactor)
		return;
	if (s->crew)
		crew_done(s, s->crew);
	reactor_undefer(s->reactor, &s->pump);
	reactor_timer_cancel(s->reactor, &s->next);
	turns_done(&s->urgent);
	turns_done(&s->others);
	s->reactor = NULL;
	s->crew = NULL;
}
