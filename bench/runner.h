/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One connection under load: keeps a number of requests in flight and counts what comes back, with
 * as few system calls as possible (one send for all requests that became free, one recv for all
 * replies that are there), so that the server is what is measured.
 */
#ifndef BENCH_RUNNER_H
#define BENCH_RUNNER_H

#include "hist.h"
#include "peer.h"
#include "replies.h"

#include <stdatomic.h>
#include <sys/uio.h>

enum { RUNNER_DEPTH_MAX = 1024 };

enum runner_mode {
	RUNNER_RANDREAD = 1,
	RUNNER_RANDWRITE,
	RUNNER_RANDRW,
	RUNNER_READ,
	RUNNER_WRITE,
	RUNNER_CONNECT, /* only connect, shake hands and leave, again and again */
};

/* What all connections of one run have in common. */
struct runner_plan {
	struct peer_address where;
	enum runner_mode mode;
	uint64_t block;       /* bytes of a request */
	uint64_t depth;       /* requests in flight on a connection */
	uint64_t connections; /* they share sequential modes and passes */
	uint64_t from, span;  /* bytes: the part of the export in use; span 0: all behind `from` */
	uint64_t passes;      /* end when `span` was gone through so often, 0: never */
	uint64_t seed;
	bool verify; /* write stamps, check them when reading */
	bool filled; /* all was written with stamps before: zeros are wrong too */
	_Atomic bool stopping;
};

struct runner_slot {
	uint64_t offset, began; /* bytes; ns */
	uint64_t got;           /* bytes of data received */
	bool write, failed;
};

struct runner {
	struct runner_plan *plan;
	unsigned number; /* of this connection */
	struct peer peer;
	uint64_t blocks; /* in the span */
	uint64_t quota;  /* requests still to be made */
	uint64_t next;   /* request of a sequential mode */
	uint64_t random;
	struct replies replies;
	struct runner_slot slots[RUNNER_DEPTH_MAX];
	unsigned free[RUNNER_DEPTH_MAX], free_count;
	uint8_t *heads, *payload, *rx;
	struct iovec *out; /* what build() made ready to send */
	int out_count;
	/* results */
	struct hist hist;
	uint64_t done, errors, bad; /* requests; requests; wrong sectors and short reads */
};

/* Connects (modes but RUNNER_CONNECT). 0, or -1 after printing what failed. */
int runner_open(struct runner *r, struct runner_plan *plan, unsigned number);
/* Until plan->stopping, the end of the passes or the loss of the connection. Closes it. */
void runner_run(struct runner *r);

uint64_t runner_now(void); /* monotonic, ns */

#endif
