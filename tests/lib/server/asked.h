/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs for an origin, in batches that can be waited for. What goes wrong ends the test program. */
#ifndef TESTS_LIB_SERVER_ASKED_H
#define TESTS_LIB_SERVER_ASKED_H

#include "origin.h"

#include <pthread.h>

struct batch {
	struct origin *origin;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned open; /* not done yet */
};

struct asked {
	struct origin_job job;
	struct batch *batch;
	unsigned calls; /* of `done`, under the batch's lock */
};

void asked_batch_init(struct batch *b, struct origin *o);
/* Waits until all jobs are done, 20 seconds at most. */
void asked_batch_wait(struct batch *b);
/* How many are not done now. */
unsigned asked_batch_open(struct batch *b);
void asked_batch_done(struct batch *b);

/* A read into a new buffer full of 0xa5, or a status with new room for extents. */
void asked_read(struct asked *a, struct batch *b, uint64_t offset, uint64_t length, bool urgent);
void asked_status(struct asked *a, struct batch *b, uint64_t offset, uint64_t length);
/* The result, after `done` was called exactly once. Frees what the job had. */
int asked_end(struct asked *a);
/* One job, asked and awaited. A read must give the pattern (see origins.h) if it gives anything. */
int asked_one_read(struct origin *o, uint64_t offset, uint64_t length);

/* COUNT reads of random ranges by each of THREADS threads, 24 at a time and thread, checked against
 * the pattern. Returns how many failed. */
unsigned asked_crowd(
	struct origin *o, unsigned threads, unsigned count, uint64_t size, uint64_t length_max);

#endif
