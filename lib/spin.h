/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Busy polling that pays: whether to look for events again and again for a short while before
 * sleeping. Sleeping and being woken costs more than many requests do; but looking costs a
 * processor, so it is only done while events have been coming within that while. Pure.
 */
#ifndef LIB_SPIN_H
#define LIB_SPIN_H

#include <stdbool.h>
#include <stdint.h>

#define SPIN_MISSED UINT64_MAX

struct spin {
	uint64_t budget; /* ns to look before sleeping; 0 = never look */
	uint64_t mean;   /* ns, of recent waits; long ones count as SPIN_CAP budgets */
};

enum {
	SPIN_CAP = 8,
	SPIN_DEFAULT_US = 50, /* of --busy-poll */
	SPIN_MAX_US = 1000
};

/* Begins without looking; the first waits show whether it would pay. */
void spin_init(struct spin *s, uint64_t budget_ns);
/* Shall the next wait begin with looking? */
bool spin_is_worth(const struct spin *s);
/* A wait of NS is over; SPIN_MISSED: it began with looking, in vain. */
void spin_learn(struct spin *s, uint64_t ns);

#endif
