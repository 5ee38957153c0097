/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads for whatever may block. They touch an io only between taking it from the queue and
 * posting it back to its lane. A thread is started when more ios wait than threads are idle (a
 * woken thread counts as idle until it has taken its io), and ends after IDLE_S seconds without
 * work, so that an idle export has none.
 */
#include "engine.h"

#include "util.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

enum { IDLE_S = 10, STACK_BYTES = 256 * 1024, RUN_MAX = 16 };

struct crew {
	pthread_mutex_t lock;
	pthread_cond_t work;  /* an io was queued, or `stopping` */
	pthread_cond_t ended; /* a thread ended */
	struct io *first, **last;
	unsigned queued; /* ios from first on */
	unsigned running, idle, max;
	bool stopping;
};

struct io_threads {
	struct crew moves, calls;
};

static void crew_init(struct crew *t, unsigned max)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->work, &attr);
	pthread_cond_init(&t->ended, NULL);
	pthread_condattr_destroy(&attr);
	t->last = &t->first;
	t->max = max;
}

struct io_threads *io_threads_new(unsigned max)
{
	struct io_threads *t = calloc(1, sizeof(*t));

	if (t) {
		crew_init(&t->moves, max);
		crew_init(&t->calls, max);
	}
	return t;
}

static struct crew *crew_for(struct io_threads *t, const struct io *io)
{
	return io->op == IO_CALL || (io->flags & IO_DSYNC) ? &t->calls : &t->moves;
}

static bool is_plain_write(const struct io *io)
{
	return io->op == IO_WRITE && !(io->flags & IO_DSYNC);
}

static void run_io(struct io *io)
{
	if (io->op == IO_CALL) {
		io->result = io->call(io);
		return;
	}
	while (!engine_account(io, engine_move(io)))
		;
}

static void io_is_done(struct reactor_task *task)
{
	struct io *io = container_of(task, struct io, task);

	engine_finish(io);
}

/*
 * Takes the first io off the queue, with the writes behind it if it is one: writes to a file take
 * turns in the kernel anyway, and a thread for each would only wake up to wait.
 */
static struct io *take_run(struct crew *t)
{
	struct io *run = t->first, *last = run;

	t->queued--;
	for (int n = 1;
		n < RUN_MAX && is_plain_write(last) && last->next && is_plain_write(last->next);
		n++) {
		last = last->next;
		t->queued--;
	}
	t->first = last->next;
	if (!t->first)
		t->last = &t->first;
	last->next = NULL;
	return run;
}

/* Called with the lock held; NULL: idle for too long, or stopping. */
static struct io *next_run(struct crew *t)
{
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += IDLE_S;
	t->idle++;
	while (!t->first && !t->stopping && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&t->work, &t->lock, &until);
	t->idle--;
	return t->first ? take_run(t) : NULL;
}

static void tell(struct io *io)
{
	if (!io->engine) {
		io->done(io);
		return;
	}
	io->task.fn = io_is_done;
	reactor_post(io->engine->reactor, &io->task);
}

static void run_all(struct io *io)
{
	while (io) {
		struct io *next = io->next;

		run_io(io);
		tell(io);
		io = next;
	}
}

static void *thread_main(void *arg)
{
	struct crew *t = arg;
	struct io *io;

	pthread_mutex_lock(&t->lock);
	while ((io = next_run(t))) {
		pthread_mutex_unlock(&t->lock);
		run_all(io);
		pthread_mutex_lock(&t->lock);
	}
	t->running--;
	pthread_cond_signal(&t->ended);
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

/* With the lock held. If not even one thread can be had, the lane must do the work itself. */
static bool start_thread(struct crew *t)
{
	pthread_attr_t attr;
	pthread_t id;
	sigset_t all, old;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&id, &attr, thread_main, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (r == 0)
		t->running++;
	return r == 0;
}

void io_threads_queue(struct io_threads *threads, struct engine *e, struct io *io)
{
	struct crew *t = crew_for(threads, io);
	bool stuck = false, wake;

	io->engine = e;
	io->next = NULL;
	pthread_mutex_lock(&t->lock);
	wake = !is_plain_write(io) || t->queued % RUN_MAX == 0;
	if (wake && t->queued >= t->idle && t->running < t->max)
		stuck = !start_thread(t) && t->running == 0;
	if (!stuck) {
		t->queued++;
		*t->last = io;
		t->last = &io->next;
		if (wake)
			pthread_cond_signal(&t->work);
	}
	pthread_mutex_unlock(&t->lock);
	if (stuck)
		run_all(io);
}

static void crew_done(struct crew *t)
{
	pthread_mutex_lock(&t->lock);
	t->stopping = true;
	pthread_cond_broadcast(&t->work);
	while (t->running > 0)
		pthread_cond_wait(&t->ended, &t->lock);
	pthread_mutex_unlock(&t->lock);
	pthread_cond_destroy(&t->work);
	pthread_cond_destroy(&t->ended);
	pthread_mutex_destroy(&t->lock);
}

void io_threads_free(struct io_threads *t)
{
	if (!t)
		return;
	crew_done(&t->moves);
	crew_done(&t->calls);
	free(t);
}
