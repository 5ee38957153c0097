/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The origin of a proxy: another NBD server, reached by libnbd. One thread of our own runs its
 * connections; everybody else hands it jobs and gets them back done, in that thread.
 *
 * A job waits while the origin is lost: connections are made anew with back-off, and what was not
 * answered is asked again. A reply that does not come in `timeout_ms` means a hung connection: it
 * is ended and made anew. (While the answers of others come in, a reply has four times as long: a
 * slow line is not a hung one.) When the origin was not there for `wait_ms`, jobs fail with EIO
 * until it is. An error reply is asked for twice more, then the job fails with it. A job that five
 * connections were lost with fails with EIO when it is older than `wait_ms`: maybe it is what kills
 * the origin. An origin of another size is not used: state HELD, until it is as it was or another
 * one is named.
 */
#ifndef SERVER_ORIGIN_H
#define SERVER_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

enum {
	ORIGIN_URI_MAX = 4096,
	ORIGIN_JOB_MAX = 32 * 1024 * 1024, /* bytes of one read */
	ORIGIN_CONNECTIONS_MAX = 16,
	ORIGIN_EXTENTS_MAX = 1024, /* told about one status job */
};

struct origin_config {
	const char *uri;      /* nbd://host:port/name, nbd+unix:///name?socket=PATH, nbds:// */
	unsigned connections; /* at most; 1 unless the origin says CAN_MULTI_CONN */
	unsigned timeout_ms;  /* without an answer, or connecting: hung; 0 = never */
	unsigned wait_ms;     /* lost so long: jobs fail; 0 = never */
	uint64_t size;        /* what it must be; 0 = not known yet, the first connection tells */
};

enum origin_state {
	ORIGIN_CONNECTING, /* never was connected to this one yet */
	ORIGIN_CONNECTED,
	ORIGIN_LOST, /* trying again */
	ORIGIN_HELD, /* answers, but is not what it was; trying again slowly */
};
const char *origin_state_name(enum origin_state state);

struct origin_extent {
	uint64_t length;
	bool zero; /* reads as zeros; a hole that does not say so is none */
};

enum origin_job_kind { ORIGIN_READ, ORIGIN_STATUS };

/* Embedded by the caller, the caller's again when `done` is called. */
struct origin_job {
	enum origin_job_kind kind;
	uint64_t offset;
	uint64_t length; /* READ: at most ORIGIN_JOB_MAX; need not be aligned to anything */
	uint8_t *buf; /* READ: `length` bytes; may be written to until `done`, also if it fails */
	struct origin_extent
		*extents;    /* STATUS: room for ORIGIN_EXTENTS_MAX; they begin at `offset`,
			      * and may end before or behind its end, inside of the origin */
	size_t extent_count; /* at least 1 if result is 0 and length is not */
	bool urgent;         /* someone waits for it: goes before those that are not */
	/* In the origin's thread, exactly once: result 0 or -errno. May hand in new jobs, this one
	 * too. -EINVAL: a range outside of the origin. */
	void (*done)(struct origin_job *job);
	int result;
	/* the origin's own */
	struct origin_job *next;
	unsigned errors; /* replies that were errors */
	unsigned losses; /* connections lost with it */
	uint64_t since;  /* ms, handed in */
	uint64_t again;  /* ms, when it is asked again after an error */
};

struct origin_status {
	enum origin_state state;
	char uri[ORIGIN_URI_MAX];
	char error[ERR_TEXT_MAX]; /* why it is lost or held; "" */
	uint64_t since;           /* ms, clock_ms(): when it came into this state */
	uint64_t size;            /* 0 = never connected */
	unsigned connections;     /* that are ready */
	bool readonly;
	bool has_status; /* it answers block status; else every STATUS job says data */
	uint64_t bytes_read;
	uint64_t jobs_waiting; /* handed in, not done */
	uint64_t reconnects;   /* times it was connected again after it was lost, or to another */
};

struct origin;

/* Starts the thread and the first connection. NULL with ERR. */
struct origin *origin_new(const struct origin_config *config, struct err *err);
/* Unfinished jobs fail with -ESHUTDOWN, the thread ends. NULL is fine. Must be called before
 * exit(): libnbd takes its own state down there, which no thread survives that still uses it. */
void origin_free(struct origin *o);

/* Waits for the first connection, at most TIMEOUT_MS: 0 and the size is known, or -errno and why.
 */
int origin_wait(struct origin *o, unsigned timeout_ms, struct err *err);

/* From any thread. Never waits. */
void origin_submit(struct origin *o, struct origin_job *job);

/*
 * To another origin (or the same again), at any time, also while the old one hangs. Returns when it
 * is connected and of the right size: then the connections to the old one are ended, and what was
 * asked there is asked here. Or -errno and why, and the OLD one goes on as if nothing had been:
 * -EBUSY if another call is under way, -ETIMEDOUT after TIMEOUT_MS, -EINVAL for another size.
 * Blocks; not to be called in a lane, nor in the origin's thread.
 */
int origin_reconnect(struct origin *o, const char *uri, unsigned timeout_ms, struct err *err);

/* Fails everything that waits, now and from now on, with -ESHUTDOWN. From any thread, does not wait
 * for it: `done` is called in the origin's thread. There is no way back but origin_free(). */
void origin_interrupt(struct origin *o);

void origin_status(struct origin *o, struct origin_status *ret);

/*
 * The URI of a server by HOST and PORT (also a service's name; NULL = 10809) and export NAME (NULL
 * = the default, which oldstyle servers have too); escaped, IPv6 addresses in brackets. 0 or
 * -EINVAL.
 */
int origin_uri(const char *host, const char *port, const char *name, char out[ORIGIN_URI_MAX],
	struct err *err);

#endif
