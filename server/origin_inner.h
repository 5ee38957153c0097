/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An origin from inside, for origin*.c alone. origin.c is the way in from other threads,
 * origin_jobs.c what becomes of jobs, origin_keep.c keeps connections.
 *
 * Everything belongs to the origin's thread but what says otherwise.
 */
#ifndef SERVER_ORIGIN_INNER_H
#define SERVER_ORIGIN_INNER_H

#include <pthread.h>

#include "origin.h"
#include "origin_link.h"

enum {
	ORIGIN_ERRORS_MAX = 2,       /* error replies a job survives */
	ORIGIN_ERROR_PAUSE_MS = 200, /* before it is asked again */
	ORIGIN_LOSSES_MAX = 5,       /* connections lost with a job, then its age counts */
	ORIGIN_BACKOFF_MIN_MS = 100,
	ORIGIN_BACKOFF_MAX_MS = 5000, /* also how long a held origin is left alone */
};

struct origin_list {
	struct origin_job *first, **last;
};

/* Where one connection is, or is to be. */
struct origin_place {
	struct origin *origin;
	struct origin_link link;
	struct reactor_timer retry;
	unsigned delay; /* ms, of the next retry */
};

/* A call of origin_reconnect(), seen from both sides under the lock. */
enum origin_move_state {
	ORIGIN_MOVE_NONE,
	ORIGIN_MOVE_ASKED,   /* by the caller */
	ORIGIN_MOVE_RUNNING, /* the thread has begun */
	ORIGIN_MOVE_LEFT,    /* the caller waits no longer; the thread or the next caller ends it */
	ORIGIN_MOVE_MADE,    /* connected, jobs are moving; can no longer be left */
	ORIGIN_MOVE_OVER,    /* `result` is there, the caller has not seen it */
};

struct origin_move {
	enum origin_move_state state;
	char uri[ORIGIN_URI_MAX]; /* asked for */
	int result;
	struct err err;
};

struct origin {
	struct origin_config config; /* `uri` is in the status, `size` in `size` */
	pthread_t thread;
	struct reactor reactor;

	/* Shared, under the lock. The thread alone writes the status, so it may read it without. */
	pthread_mutex_t lock;
	pthread_cond_t changed; /* status or move */
	struct origin_list inbox;
	struct reactor_task wake; /* looks at all of these */
	bool woken;               /* `wake` is posted */
	bool interrupted, ending;
	struct origin_move move;
	struct origin_status status;

	/* Jobs. */
	struct origin_list urgent, normal;
	struct origin_list later; /* after an error reply, by `again` */
	struct reactor_timer later_timer;
	struct reactor_task dispatch;

	/* Connections: the first `config.connections` places, and one for moving. */
	struct origin_place *places[ORIGIN_CONNECTIONS_MAX];
	struct origin_place *candidate;
	char candidate_uri[ORIGIN_URI_MAX];
	bool multi;    /* it takes more than one */
	bool closed;   /* interrupted: none is made any more */
	bool given_up; /* lost for `wait_ms`: jobs fail */
	uint64_t size; /* what it must be, 0 = not known */
	struct reactor_timer wait_timer;
	uint32_t random; /* state of a generator, for jitter */
};

/* origin_jobs.c */

void origin_jobs_clear(struct origin_list *list);
void origin_jobs_add(struct origin_list *list, struct origin_job *job);
/* The whole of it, linked by `next`; LIST is empty then. */
struct origin_job *origin_jobs_take(struct origin_list *list);

void origin_jobs_init(struct origin *o);
/* In at the back. */
void origin_jobs_accept(struct origin *o, struct origin_job *jobs);
/* In at the front: what was under way when a connection ended. LOST: it was not ended by us. */
void origin_jobs_return(struct origin *o, struct origin_job *jobs, bool lost);
/* What a connection says of one. */
void origin_jobs_answered(struct origin *o, struct origin_job *job, int result);
/* Sends what can be sent, at the end of the turn; or fails all, if that is how it is. */
void origin_jobs_dispatch(struct origin *o);
/* Fails all that are in no connection, at once. */
void origin_jobs_fail(struct origin *o, int result);

/* origin_keep.c */

/* Places are malloc'd: -ENOMEM. */
int origin_keep_init(struct origin *o);
void origin_keep_done(struct origin *o);
void origin_keep_start(struct origin *o);
/* The connection with the fewest jobs that has room, or NULL. */
struct origin_link *origin_keep_choose(struct origin *o, const struct origin_job *job);
/* Ends all connections for good; their jobs go back to the queue. */
void origin_keep_close(struct origin *o);
/* Looks at `move`: begins or ends one. */
void origin_keep_move(struct origin *o);

#endif
