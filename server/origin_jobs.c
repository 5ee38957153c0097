/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What becomes of the jobs of an origin. A job is in exactly one place: the inbox, one of three
 * lists here, or a connection; it leaves through complete() alone, and that is where `done` is
 * called. All in the origin's thread; `done` may hand in jobs, which go to the inbox, so nothing
 * here changes under a loop.
 */
#include "origin_inner.h"
#include "util.h"

#include <errno.h>

void origin_jobs_clear(struct origin_list *list)
{
	list->first = NULL;
	list->last = &list->first;
}

void origin_jobs_add(struct origin_list *list, struct origin_job *job)
{
	job->next = NULL;
	*list->last = job;
	list->last = &job->next;
}

static void push_front(struct origin_list *list, struct origin_job *job)
{
	job->next = list->first;
	if (!list->first)
		list->last = &job->next;
	list->first = job;
}

static struct origin_job *pop(struct origin_list *list)
{
	struct origin_job *job = list->first;

	list->first = job->next;
	if (!list->first)
		list->last = &list->first;
	return job;
}

struct origin_job *origin_jobs_take(struct origin_list *list)
{
	struct origin_job *jobs = list->first;

	origin_jobs_clear(list);
	return jobs;
}

static struct origin_list *queue_of(struct origin *o, const struct origin_job *job)
{
	return job->urgent ? &o->urgent : &o->normal;
}

static void complete(struct origin *o, struct origin_job *job, int result)
{
	pthread_mutex_lock(&o->lock);
	o->status.jobs_waiting--;
	if (result == 0 && job->kind == ORIGIN_READ)
		o->status.bytes_read += job->length;
	pthread_mutex_unlock(&o->lock);
	job->result = result;
	job->done(job);
}

void origin_jobs_accept(struct origin *o, struct origin_job *jobs)
{
	while (jobs) {
		struct origin_job *job = jobs;

		jobs = job->next;
		origin_jobs_add(queue_of(o, job), job);
	}
	reactor_defer(&o->reactor, &o->dispatch);
}

static struct origin_job *reversed(struct origin_job *jobs)
{
	struct origin_job *ret = NULL;

	while (jobs) {
		struct origin_job *next = jobs->next;

		jobs->next = ret;
		ret = jobs;
		jobs = next;
	}
	return ret;
}

static bool is_hopeless(const struct origin *o, const struct origin_job *job)
{
	return o->config.wait_ms && job->losses >= ORIGIN_LOSSES_MAX &&
		o->reactor.now >= job->since + o->config.wait_ms;
}

void origin_jobs_return(struct origin *o, struct origin_job *jobs, bool lost)
{
	jobs = reversed(jobs);
	while (jobs) {
		struct origin_job *job = jobs;

		jobs = job->next;
		job->losses += lost;
		if (is_hopeless(o, job))
			complete(o, job, -EIO);
		else
			push_front(queue_of(o, job), job);
	}
	reactor_defer(&o->reactor, &o->dispatch);
}

/* The pause is the same for all, so they come due in the order of the list. */
static void ask_again(struct reactor_timer *t)
{
	struct origin *o = container_of(t, struct origin, later_timer);

	while (o->later.first && o->later.first->again <= o->reactor.now) {
		struct origin_job *job = pop(&o->later);

		push_front(queue_of(o, job), job);
	}
	if (o->later.first)
		reactor_timer_set(&o->reactor, t, o->later.first->again - o->reactor.now);
	reactor_defer(&o->reactor, &o->dispatch);
}

void origin_jobs_answered(struct origin *o, struct origin_job *job, int result)
{
	reactor_defer(&o->reactor, &o->dispatch);
	if (result == 0 || job->errors == ORIGIN_ERRORS_MAX) {
		complete(o, job, result);
		return;
	}
	job->errors++;
	job->again = o->reactor.now + ORIGIN_ERROR_PAUSE_MS;
	origin_jobs_add(&o->later, job);
	if (!o->later_timer.slot &&
		reactor_timer_set(&o->reactor, &o->later_timer, ORIGIN_ERROR_PAUSE_MS) < 0)
		origin_jobs_accept(o, origin_jobs_take(&o->later));
}

void origin_jobs_fail(struct origin *o, int result)
{
	struct origin_list *lists[] = {&o->urgent, &o->normal, &o->later};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		while (lists[i]->first)
			complete(o, pop(lists[i]), result);
	}
	reactor_timer_cancel(&o->reactor, &o->later_timer);
}

/* Not for a connection: nothing to ask, or nothing there to be asked about. */
static bool is_plain(const struct origin *o, const struct origin_job *job, int *ret)
{
	if (!range_inside(job->offset, job->length, o->size) ||
		(job->kind == ORIGIN_READ && job->length > ORIGIN_JOB_MAX)) {
		*ret = -EINVAL;
		return true;
	}
	*ret = 0;
	return job->length == 0;
}

/* False if the first job of LIST must wait. */
static bool send_first(struct origin *o, struct origin_list *list)
{
	struct origin_link *l;
	int ret;

	if (o->size == 0)
		return false;
	if (is_plain(o, list->first, &ret)) {
		complete(o, pop(list), ret);
		return true;
	}
	l = origin_keep_choose(o, list->first);
	if (l)
		origin_link_send(l, pop(list));
	return l;
}

static void dispatch(struct reactor_task *t)
{
	struct origin *o = container_of(t, struct origin, dispatch);

	if (o->closed) {
		origin_jobs_fail(o, -ESHUTDOWN);
		return;
	}
	if (o->given_up) {
		origin_jobs_fail(o, -EIO);
		return;
	}
	while (o->urgent.first && send_first(o, &o->urgent))
		;
	while (!o->urgent.first && o->normal.first && send_first(o, &o->normal))
		;
}

void origin_jobs_dispatch(struct origin *o)
{
	reactor_defer(&o->reactor, &o->dispatch);
}

void origin_jobs_init(struct origin *o)
{
	origin_jobs_clear(&o->inbox);
	origin_jobs_clear(&o->urgent);
	origin_jobs_clear(&o->normal);
	origin_jobs_clear(&o->later);
	o->later_timer.fn = ask_again;
	o->dispatch.fn = dispatch;
}
