/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One thread's event loop: file descriptors (epoll, level-triggered), timers, work to do at the
 * end of the turn, and tasks posted by other threads.
 *
 * Every callback runs in the thread that runs the reactor and must not block. Watches, timers and
 * tasks are embedded in the caller's structs and stay the caller's; they must be removed before
 * their memory goes away. Only reactor_post() and reactor_stop() may be called by other threads.
 */
#ifndef LIB_REACTOR_H
#define LIB_REACTOR_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "spin.h"

enum { REACTOR_BATCH = 128 };

struct reactor_watch {
	int fd;
	uint32_t events; /* what is watched now: EPOLLIN, EPOLLOUT */
	void (*fn)(struct reactor_watch *w, uint32_t events);
	/* Optional, for busy polling: looks for input by itself and handles it; false = nothing. */
	bool (*look)(struct reactor_watch *w);
};

struct reactor_timer {
	uint64_t at; /* ms, meaningful while set */
	size_t slot; /* place in the heap + 1; 0 = not set */
	void (*fn)(struct reactor_timer *t);
};

struct reactor_task {
	struct reactor_task *next;
	bool queued;
	void (*fn)(struct reactor_task *t);
};

struct reactor_queue {
	struct reactor_task *first, **last;
};

struct reactor {
	int epoll_fd;
	int wake_fd;     /* eventfd */
	uint64_t now;    /* ms, taken once a turn */
	uint64_t now_ns; /* the same for measuring (clock_ns()), also taken before each look */
	bool stopped;
	struct spin spin;          /* busy polling; off unless reactor_busy_poll() was called */
	struct reactor_watch *hot; /* the only one that had an event in the last turn */
	unsigned hot_turns;        /* in a row that only it was looked at */
	struct reactor_watch wake;
	struct epoll_event batch[REACTOR_BATCH]; /* events of this turn */
	int batch_len;
	struct reactor_timer **heap; /* by time, earliest first */
	size_t timers, heap_room;
	struct reactor_queue deferred; /* end of this turn */
	pthread_mutex_t lock;          /* guards posted */
	struct reactor_queue posted;
};

int reactor_init(struct reactor *r);
void reactor_done(struct reactor *r);

/* Runs until reactor_stop(). Returns 0, or -errno if epoll itself fails. */
int reactor_run(struct reactor *r);
/* The same; also ends between two turns when IS_DONE(ARG). */
int reactor_run_until(struct reactor *r, bool (*is_done)(void *arg), void *arg);
void reactor_stop(struct reactor *r);

/* From now on waits may begin with up to NS nanoseconds of looking instead of sleeping (spin.h). */
void reactor_busy_poll(struct reactor *r, uint64_t ns);

/* Sets the fields of W; the fd must be non-blocking. Returns 0 or -errno. */
int reactor_add(struct reactor *r, struct reactor_watch *w, int fd, uint32_t events,
	void (*fn)(struct reactor_watch *, uint32_t));
/* Watches other events from now on; no system call when nothing changes. */
int reactor_change(struct reactor *r, struct reactor_watch *w, uint32_t events);
/* After this no event of W is delivered, not even one already fetched. The fd stays open. */
void reactor_remove(struct reactor *r, struct reactor_watch *w);
/* The same for an fd that was closed already, and may be somebody else's by now. */
void reactor_forget(struct reactor *r, struct reactor_watch *w);

/* (Re)starts T to fire once at `r->now + after` ms. Returns 0 or -ENOMEM. */
int reactor_timer_set(struct reactor *r, struct reactor_timer *t, uint64_t after);
void reactor_timer_cancel(struct reactor *r, struct reactor_timer *t);

/* Runs T once at the end of this turn, after all events; queued twice it still runs once. */
void reactor_defer(struct reactor *r, struct reactor_task *t);
void reactor_undefer(struct reactor *r, struct reactor_task *t);

/* From any thread: T runs soon in R's thread. T must not be posted again before it ran. */
void reactor_post(struct reactor *r, struct reactor_task *t);
/* In R's thread, not from a posted task: T does not run. Nobody may post it at the same time. */
void reactor_unpost(struct reactor *r, struct reactor_task *t);

#endif
