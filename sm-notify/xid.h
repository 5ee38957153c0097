/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Call numbers: 32 bits from the kernel's random numbers, never guessable, and whom each belongs
 * to. Numbers are never given back one by one. Their owner says, when the table is full, which of
 * his are still in use, and a reply with a number that is not is ignored by him.
 */
#ifndef SM_NOTIFY_XID_H
#define SM_NOTIFY_XID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { XID_POOL = 64 };

struct xid_slot {
	uint32_t xid; /* 0 = free */
	uint32_t unit;
};

struct xid {
	struct xid_slot *slots;
	uint32_t size, used;     /* size: a power of 2 */
	uint32_t pool[XID_POOL]; /* random numbers fetched ahead */
	size_t pooled;
	bool (*is_used)(void *arg, uint32_t xid, uint32_t unit);
	void *arg;
};

/* Room for UNITS numbers from the start; it grows. 0 or -errno. */
int xid_init(struct xid *x, uint32_t units, bool (*is_used)(void *arg, uint32_t xid, uint32_t unit),
	void *arg);
void xid_done(struct xid *x);

/* A number for UNIT, never 0, and of nobody else. 0 or -errno. */
int xid_draw(struct xid *x, uint32_t unit, uint32_t *ret);

/* Whose number it is or was. */
bool xid_find(const struct xid *x, uint32_t xid, uint32_t *ret_unit);

/* Any number, for other ends. 0 or -errno. */
int xid_random(struct xid *x, uint32_t *ret);

#endif
