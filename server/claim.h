/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a request holds of a layer and waits for in one; layer.c owns the fields. */
#ifndef SERVER_CLAIM_H
#define SERVER_CLAIM_H

#include <stdbool.h>
#include <stdint.h>

struct request;

/* Absent blocks that somebody is about to bring in or overwrite, and nobody else may. */
struct claim {
	uint64_t first, count;      /* blocks; of a request: count 0 = none is held */
	struct claim *next, **link; /* under the layer's lock */
};

/* A request waits for others' claims in this range to end. */
struct waiter {
	uint64_t first, count; /* blocks */
	bool starved;          /* also for anything to end: there was no room to begin */
	int error;             /* of a fill it waited for; 0 = none */
	struct waiter *next;
	struct request *request;
};

#endif
