/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One connection to an origin: a handle of libnbd in a reactor, and the jobs it is asked now.
 *
 * libnbd calls back in the midst of its own work, when its handle must not be touched. So nothing
 * is told to the owner from there: at the end of the turn, outside of libnbd, come answers, that
 * the connection is ready, or that it ended. When it ended its jobs stay here until it is closed.
 */
#ifndef SERVER_ORIGIN_LINK_H
#define SERVER_ORIGIN_LINK_H

#include "origin.h"
#include "reactor.h"

enum {
	ORIGIN_LINK_ASKS = 64,                  /* jobs in flight */
	ORIGIN_LINK_BYTES = 2 * ORIGIN_JOB_MAX, /* the bytes they read */
	ORIGIN_LINK_BOUNCE = 1024 * 1024,       /* bytes read at once for a range off the blocks */
	ORIGIN_LINK_PATIENCE = 4,               /* timeouts for a reply while others come in */
};

struct nbd_handle;
struct origin_link;

enum origin_link_state {
	ORIGIN_LINK_CLOSED,
	ORIGIN_LINK_CONNECTING,
	ORIGIN_LINK_READY,
	ORIGIN_LINK_ENDED, /* `ended` was or will be called, to be closed */
};

/* What the origin says of itself, once the link is ready. */
struct origin_facts {
	uint64_t size;     /* 0 = was not ready yet */
	uint64_t block;    /* ranges are aligned to this */
	uint64_t read_max; /* bytes of one request, aligned */
	bool readonly, multi, status;
};

/* All are called at the end of a turn. READY and ENDED may close the link, ANSWERED may not. */
struct origin_link_ops {
	void (*ready)(struct origin_link *l);
	void (*ended)(struct origin_link *l); /* `reason` says why */
	void (*answered)(struct origin_link *l, struct origin_job *job, int result);
};

/* A job's place in a connection; it may take several requests, one after the other. */
struct origin_ask {
	struct origin_link *link;
	struct origin_job *job; /* NULL = free */
	struct origin_ask *next;
	uint64_t pos;    /* bytes of the job that have come */
	uint64_t offset; /* of the request under way */
	uint64_t length; /* of it */
	uint64_t seen;   /* bytes that came for it */
	uint8_t *bounce; /* malloc'd; NULL = straight into the job's buffer */
	uint64_t sent;   /* ms */
	int error;       /* errno value of the request */
	bool answered;   /* in the list of these */
};

struct origin_link {
	struct reactor *reactor;
	const struct origin_link_ops *ops;
	enum origin_link_state state;
	struct origin_facts facts;
	char reason[ERR_TEXT_MAX];
	struct nbd_handle *nbd;
	struct reactor_watch watch;
	struct reactor_task settle;
	struct reactor_timer deadline;
	unsigned timeout_ms;
	uint64_t heard; /* ms, when something came in */
	uint64_t since; /* ms, ready or connecting */
	unsigned in_flight;
	uint64_t bytes;                            /* of the reads in flight */
	struct origin_ask *issuing;                /* being handed to libnbd just now */
	struct origin_ask *answers, **answers_end; /* not yet told */
	struct origin_ask *free;
	struct origin_ask asks[ORIGIN_LINK_ASKS];
};

void origin_link_init(struct origin_link *l, struct reactor *r, const struct origin_link_ops *ops);

/* Begins to connect; ready() or ended() follows, after TIMEOUT_MS at the latest (0 = never). Once
 * it is ready the owner may change `timeout_ms`: how long a reply may take. */
void origin_link_open(struct origin_link *l, const char *uri, unsigned timeout_ms);

/* True if JOB can be sent now. A quarter of the room is kept for urgent ones. */
bool origin_link_has_room(const struct origin_link *l, const struct origin_job *job);
/* Only with room. The job must lie inside of the origin and have a length. */
void origin_link_send(struct origin_link *l, struct origin_job *job);

/* Ends it at once; never waits. Returns the jobs it had, linked by `next`. Safe when closed. */
struct origin_job *origin_link_close(struct origin_link *l);

/* Between origin_link.c and origin_ask.c. */

/* The next request of a job. */
void origin_ask_issue(struct origin_ask *a);
/* That request is over and was no error: 1 = the job has all, 0 = there is more to ask, or -EIO. */
int origin_ask_accept(struct origin_ask *a);
/* In callbacks of libnbd: the request is over, with ERROR. */
void origin_link_note(struct origin_ask *a, int error);

#endif
