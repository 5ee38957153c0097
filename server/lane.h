/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A lane is one thread of a worker: its reactor, engine, buffers, request slots and connections.
 * Nothing of it is touched by other threads but what is marked so. Connections come in by
 * lane_adopt() and stay until they end.
 */
#ifndef SERVER_LANE_H
#define SERVER_LANE_H

#include "engine.h"
#include "gate.h"
#include "pool.h"
#include "reactor.h"
#include "request.h"
#include "storage.h"
#include "windows.h"

#include <stdatomic.h>

enum { LANE_RX_BYTES = 160 * 1024 }; /* 32 writes of 4 KiB with their headers, and some */

struct lane_limits {
	unsigned requests;   /* in flight per connection */
	size_t conn_bytes;   /* buffer memory in flight per connection; one request always passes */
	size_t buffer_bytes; /* buffer memory of the lane */
	uint64_t poll_ns;    /* busy polling, see reactor_busy_poll() */
	size_t windows;      /* of the lane, see windows.h */
	uint64_t idle_ms;    /* who rests so long is ended; 0 = never */
};

struct layer;
struct slot_slab;
struct throttle;

/* Carries page references from a file to a socket. Empty when free. */
struct pipe {
	struct pipe *next;
	bool used;    /* something was put in and not all of it taken out again, for all we know */
	int fds[2];   /* read end, write end */
	size_t pages; /* room */
};

enum { LANE_SNAPSHOTS_MAX = 8, LANE_PIPES_MAX = 32, LANE_PIPE_BYTES = 1024 * 1024 };

struct lane {
	struct reactor reactor;
	pthread_t thread;
	struct engine engine;
	struct pool pool;
	struct windows windows;
	struct storage *storage;
	struct gate gate;
	struct layer *snapshots[LANE_SNAPSHOTS_MAX]; /* of `storage`: get old data before it goes */
	unsigned snapshot_count;
	struct throttle *throttle; /* of the export; NULL = no limits, see limiter.h */
	struct lane_limits limits;
	_Atomic unsigned connections; /* assigned; counted by the main thread */
	uint8_t *rx; /* LANE_RX_BYTES, what was just received; empty between events */
	struct request *free_slots;
	struct pipe *free_pipes;
	unsigned pipes;
	struct slot_slab *slabs;
	struct conn *conns;
	struct conn *waiting, **waiting_last; /* for a slot or a buffer, oldest first */
	struct reactor_task wake;
	struct reactor_timer relief;      /* runs while someone waits */
	struct reactor_timer idle;        /* gives memory back */
	struct reactor_timer rest;        /* looks for those who rest, if that is limited */
	uint64_t activity, activity_seen; /* requests begun */
	bool draining;
	struct reactor_task drain_task, kill_task, stop_task; /* posted by the main thread */
	/* Called in the lane's thread when a connection has ended; frees it in the end. */
	void (*ended)(struct lane *l, struct conn *c);
	void *owner;
};

/* Opens engine and buffers; the thread starts with lane_start(). */
int lane_init(struct lane *l, struct storage *st, enum engine_kind kind, struct io_threads *threads,
	const struct lane_limits *limits, struct err *err);
int lane_start(struct lane *l);
/* Joins the thread and frees everything; all connections must have ended. */
void lane_done(struct lane *l);

/* From any thread. */
void lane_adopt(struct lane *l, struct conn *c);
/* Requests from now on get ESHUTDOWN, connections end between requests. */
void lane_drain(struct lane *l);
/* Ends all connections; requests in flight still finish. */
void lane_kill(struct lane *l);

/* In the lane's thread. A slot, zeroed but for its ios, and a buffer of LEN bytes (0: none). */
struct request *lane_get_request(struct lane *l, size_t len);
void lane_put_request(struct lane *l, struct request *rq);
/* Only its buffer: the reply needs no data. */
void lane_put_data(struct lane *l, struct request *rq);
/* A pipe with room for [offset, offset + length) of a file; NULL: use a buffer. A request that has
 * one (rq->pipe) gives it back with itself. */
struct pipe *lane_get_pipe(struct lane *l, uint64_t offset, uint64_t length);
void lane_put_pipe(struct lane *l, struct pipe *p);
/* C waits until a slot or buffer is put back. */
void lane_wait(struct lane *l, struct conn *c);
void lane_unwait(struct lane *l, struct conn *c);
/* A connection has come. */
void lane_watch_rest(struct lane *l);
/* Another limits.idle_ms. In the lane's thread. */
void lane_set_idle(struct lane *l, uint64_t ms);

#endif
