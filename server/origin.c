/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An origin's thread, and the way in from others. They leave under the lock what they want (jobs in
 * the inbox, a move, the end) and wake the thread up, which looks at all of it once a turn. Nobody
 * holds the lock while anything waits or is called back.
 */
#include "origin.h"

#include "clock.h"
#include "origin_inner.h"
#include "util.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

const char *origin_state_name(enum origin_state state)
{
	static const char *const names[] = {
		[ORIGIN_CONNECTING] = "connecting",
		[ORIGIN_CONNECTED] = "connected",
		[ORIGIN_LOST] = "lost",
		[ORIGIN_HELD] = "held",
	};

	return names[state];
}

/* With the lock held. */
static void wake_up(struct origin *o)
{
	if (o->woken)
		return;
	o->woken = true;
	reactor_post(&o->reactor, &o->wake);
}

static void look(struct reactor_task *t)
{
	struct origin *o = container_of(t, struct origin, wake);
	bool interrupted, ending;
	struct origin_job *jobs;

	pthread_mutex_lock(&o->lock);
	o->woken = false;
	jobs = origin_jobs_take(&o->inbox);
	interrupted = o->interrupted;
	ending = o->ending;
	pthread_mutex_unlock(&o->lock);
	if (interrupted)
		origin_keep_close(o);
	origin_jobs_accept(o, jobs);
	origin_keep_move(o);
	if (ending)
		reactor_stop(&o->reactor);
}

/* What `done` handed in while the last ones failed. */
static void fail_inbox(struct origin *o)
{
	struct origin_job *jobs;

	do {
		pthread_mutex_lock(&o->lock);
		jobs = origin_jobs_take(&o->inbox);
		pthread_mutex_unlock(&o->lock);
		origin_jobs_accept(o, jobs);
		origin_jobs_fail(o, -ESHUTDOWN);
	} while (jobs);
}

static void *thread_main(void *arg)
{
	struct origin *o = arg;

	origin_keep_start(o);
	reactor_run(&o->reactor);
	origin_keep_close(o);
	fail_inbox(o);
	return NULL;
}

static int start_thread(struct origin *o)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&o->thread, NULL, thread_main, o);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

static void init(struct origin *o, const struct origin_config *config)
{
	pthread_condattr_t attr;

	o->config = *config;
	o->config.connections =
		MAX_OF(MIN_OF(config->connections, (unsigned)ORIGIN_CONNECTIONS_MAX), 1u);
	o->config.uri = NULL;
	o->size = config->size;
	o->status.since = clock_ms();
	snprintf(o->status.uri, sizeof(o->status.uri), "%s", config->uri);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&o->changed, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&o->lock, NULL);
	o->wake.fn = look;
	origin_jobs_init(o);
}

static void destroy(struct origin *o)
{
	origin_keep_done(o);
	reactor_done(&o->reactor);
	pthread_mutex_destroy(&o->lock);
	pthread_cond_destroy(&o->changed);
	free(o);
}

static int start(struct origin *o)
{
	int ret = origin_keep_init(o);

	return ret < 0 ? ret : start_thread(o);
}

struct origin *origin_new(const struct origin_config *config, struct err *err)
{
	struct origin *o;
	int ret;

	if (strlen(config->uri) >= ORIGIN_URI_MAX) {
		err_set(err, EINVAL, "origin: the URI is too long");
		return NULL;
	}
	o = calloc(1, sizeof(*o));
	if (!o || (ret = reactor_init(&o->reactor)) < 0) {
		err_sys(err, o ? -ret : ENOMEM, "origin %s", config->uri);
		free(o);
		return NULL;
	}
	init(o, config);
	ret = start(o);
	if (ret < 0) {
		err_sys(err, -ret, "origin %s: its thread", config->uri);
		destroy(o);
		return NULL;
	}
	return o;
}

static void stop(struct origin *o, bool ending)
{
	pthread_mutex_lock(&o->lock);
	o->interrupted = true;
	o->ending |= ending;
	pthread_cond_broadcast(&o->changed);
	wake_up(o);
	pthread_mutex_unlock(&o->lock);
}

void origin_interrupt(struct origin *o)
{
	stop(o, false);
}

void origin_free(struct origin *o)
{
	if (!o)
		return;
	stop(o, true);
	pthread_join(o->thread, NULL);
	destroy(o);
}

void origin_submit(struct origin *o, struct origin_job *job)
{
	job->errors = job->losses = 0;
	job->extent_count = 0;
	job->result = 0;
	job->since = clock_ms();
	pthread_mutex_lock(&o->lock);
	origin_jobs_add(&o->inbox, job);
	o->status.jobs_waiting++;
	wake_up(o);
	pthread_mutex_unlock(&o->lock);
}

void origin_status(struct origin *o, struct origin_status *ret)
{
	pthread_mutex_lock(&o->lock);
	*ret = o->status;
	pthread_mutex_unlock(&o->lock);
}

/* The time of pthread_cond_timedwait() that is MS from now. */
static struct timespec after(unsigned ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += (long)(ms % 1000) * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return ts;
}

int origin_wait(struct origin *o, unsigned timeout_ms, struct err *err)
{
	struct timespec until = after(timeout_ms);
	struct origin_status *st = &o->status;
	int r = 0, ret = 0;

	pthread_mutex_lock(&o->lock);
	while (st->size == 0 && !o->interrupted && r == 0)
		r = pthread_cond_timedwait(&o->changed, &o->lock, &until);
	if (st->size == 0 && o->interrupted)
		ret = err_set(err, ESHUTDOWN, "origin %s: interrupted", st->uri);
	else if (st->size == 0)
		ret = err_set(err, ETIMEDOUT, "origin %s: %s", st->uri,
			st->error[0] ? st->error : "no connection in time");
	pthread_mutex_unlock(&o->lock);
	return ret;
}

/* With the lock held, when `move` is asked for. The thread decides: a move that is made counts. */
static int await_move(struct origin *o, unsigned timeout_ms, struct err *err)
{
	struct timespec until = after(timeout_ms);
	struct origin_move *m = &o->move;
	int r = 0;

	while (r == 0 && m->state != ORIGIN_MOVE_OVER)
		r = pthread_cond_timedwait(&o->changed, &o->lock, &until);
	while (m->state == ORIGIN_MOVE_MADE)
		pthread_cond_wait(&o->changed, &o->lock);
	if (m->state != ORIGIN_MOVE_OVER) {
		m->state = ORIGIN_MOVE_LEFT;
		wake_up(o);
		return err_set(
			err, ETIMEDOUT, "origin %s: no connection in %u ms", m->uri, timeout_ms);
	}
	m->state = ORIGIN_MOVE_NONE;
	if (m->result < 0 && err)
		*err = m->err;
	return m->result;
}

int origin_reconnect(struct origin *o, const char *uri, unsigned timeout_ms, struct err *err)
{
	struct origin_move *m = &o->move;
	int ret;

	if (strlen(uri) >= ORIGIN_URI_MAX)
		return err_set(err, EINVAL, "origin: the URI is too long");
	pthread_mutex_lock(&o->lock);
	if (m->state != ORIGIN_MOVE_NONE && m->state != ORIGIN_MOVE_LEFT) {
		ret = err_set(err, EBUSY, "origin %s: being connected to already", m->uri);
	} else {
		memcpy(m->uri, uri, strlen(uri) + 1);
		m->state = ORIGIN_MOVE_ASKED;
		wake_up(o);
		ret = await_move(o, timeout_ms, err);
	}
	pthread_mutex_unlock(&o->lock);
	return ret;
}
