/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Units that wait for something scarce (a thread, a connection) and get it in turn: round and round
 * by number, so that none waits for ever. One bit a unit.
 */
#ifndef SM_NOTIFY_TURNS_H
#define SM_NOTIFY_TURNS_H

#include <stdbool.h>
#include <stdint.h>

struct turns {
	uint64_t *bits;
	uint32_t units;
	uint32_t next; /* where to look first */
	uint32_t count;
};

/* For units 0 to UNITS - 1. 0 or -ENOMEM. */
int turns_init(struct turns *t, uint32_t units);
void turns_done(struct turns *t);

void turns_add(struct turns *t, uint32_t unit);
void turns_remove(struct turns *t, uint32_t unit);

/* Takes the one whose turn it is; false: nobody waits. */
bool turns_take(struct turns *t, uint32_t *ret_unit);

#endif
