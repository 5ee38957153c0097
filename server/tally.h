/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was asked and answered, of one connection or of several together. One thread counts, anyone
 * may look (counter.h); whoever needs numbers that fit together has the lane take a turn first
 * (worker_stats.c). What is called for every request is here, and a few instructions.
 */
#ifndef SERVER_TALLY_H
#define SERVER_TALLY_H

#include "latency.h"
#include "nbd.h"

enum tally_kind { TALLY_READ, TALLY_WRITE, TALLY_OTHER, TALLY_KINDS };

enum { TALLY_ERRORS = 8 }; /* as many as the protocol has */

struct tally {
	_Atomic uint64_t requests[NBD_CMD_COUNT];   /* complete with payload; unknown ones not */
	_Atomic uint64_t errors[TALLY_ERRORS];      /* error replies, see tally_error_name() */
	_Atomic uint64_t bytes_read, bytes_written; /* of requests that succeeded */
	/* Requests whose reply is not sent yet: now, and the most of one connection at any time. */
	_Atomic uint64_t in_flight, in_flight_max;
	struct latency latency[TALLY_KINDS];
};

/* TYPE and the other numbers are what a client sent. */
static inline void tally_request(struct tally *t, unsigned type)
{
	if (type < NBD_CMD_COUNT)
		counter_add(&t->requests[type], 1);
}

static inline void tally_success(struct tally *t, unsigned type, uint64_t length)
{
	if (type == NBD_CMD_READ)
		counter_add(&t->bytes_read, length);
	else if (type == NBD_CMD_WRITE)
		counter_add(&t->bytes_written, length);
}

static inline void tally_latency(struct tally *t, unsigned type, uint64_t ns)
{
	enum tally_kind other = type == NBD_CMD_WRITE ? TALLY_WRITE : TALLY_OTHER;

	latency_add(&t->latency[type == NBD_CMD_READ ? TALLY_READ : other], ns);
}

/* Now there are N. */
static inline void tally_in_flight(struct tally *t, uint64_t n)
{
	counter_set(&t->in_flight, n);
	counter_raise(&t->in_flight_max, n);
}

/* ERROR is an errno. */
void tally_error(struct tally *t, int error);

/* Adds what FROM has; INTO is the caller's own. */
void tally_merge(struct tally *into, const struct tally *from);
/* The same without times. */
void tally_merge_counts(struct tally *into, const struct tally *from);
uint64_t tally_errors(const struct tally *t);

/* "EIO" ... of errors[index]. */
const char *tally_error_name(unsigned index);
const char *tally_kind_name(enum tally_kind kind);

#endif
