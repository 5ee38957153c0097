/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When each of many units is due next: 12 bytes a unit, 100,000 of them must fit in small memory.
 * Moments are milliseconds modulo 2^32 since any start; those set at one time must lie within 24
 * days of each other. Pure but for the memory.
 */
#ifndef SM_NOTIFY_DUE_H
#define SM_NOTIFY_DUE_H

#include <stdbool.h>
#include <stdint.h>

struct due {
	uint32_t *at;   /* by unit; meaningful while set */
	uint32_t *slot; /* by unit: place in the heap + 1; 0 = not set */
	uint32_t *heap; /* units, earliest first */
	uint32_t count; /* set */
};

/* For units 0 to UNITS - 1. 0 or -ENOMEM. */
int due_init(struct due *d, uint32_t units);
void due_done(struct due *d);

/* (Re)sets the moment of UNIT. */
void due_set(struct due *d, uint32_t unit, uint32_t at);
void due_clear(struct due *d, uint32_t unit);

/* The earliest unit; false if none is set. */
bool due_first(const struct due *d, uint32_t *ret_unit, uint32_t *ret_at);

/* Is A earlier than B? */
static inline bool due_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

#endif
