/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A control command that may block: it runs in a thread while its control connection is paused, and
 * is answered from the main thread; or a signal's, that nobody waits for. The connection may go
 * away meanwhile, the errand is carried out all the same.
 */
#ifndef SERVER_ERRAND_H
#define SERVER_ERRAND_H

#include "ctl.h"
#include "engine.h"

struct worker;

struct errand {
	struct worker *worker;
	struct ctl_conn *conn; /* NULL = nobody waits, or gone */
	const char *what;      /* for the log */
	json_t *msg;           /* the request; NULL = none */
	void *subject;         /* what it is about: the caller's */
	/* In a thread. 0 with `answer` filled further, or -errno with `err` (and `answer`). */
	int (*run)(struct errand *e);
	/* In the main thread, before the answer goes out; may be NULL. */
	void (*after)(struct errand *e, int result);
	/* Instead of after(), if the worker ends first. NULL = nothing to undo. */
	void (*undo)(struct errand *e);
	json_t *answer; /* {"ok": true} at the start; without "ok" = {"ok": false, "error": err} is
			   put in */
	struct err err;
	struct io io;
	struct reactor_task back;
	struct errand *next;
};

/* Takes nothing of MSG but a reference. C = NULL for a signal. Answers by itself if it cannot
 * begin. */
void errand_start(struct worker *w, struct ctl_conn *c, json_t *msg, const char *what,
	void *subject, int (*run)(struct errand *e), void (*after)(struct errand *e, int result));
/* In steps: the connection is paused; errand_run() or whatever else is needed, any number of times;
 * errand_answer(). NULL without memory, which is answered. */
struct errand *errand_new(
	struct worker *w, struct ctl_conn *c, json_t *msg, const char *what, void *subject);
void errand_run(struct errand *e, int (*run)(struct errand *e),
	void (*after)(struct errand *e, int result));
/* C is gone. */
void errand_forget(struct worker *w, const struct ctl_conn *c);
/* At the end, after the threads: frees those whose answer never went out. */
void errand_free_all(struct worker *w);

/* Sends what E has to say, goes on with the connection, frees E. In the main thread. */
void errand_answer(struct errand *e, int result);

#endif
