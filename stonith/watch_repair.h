/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When an outlet of our own is switched on again. After a fencing race the winner may have lost one
 * of its outlets, and nobody tells it. But the shot may still be going on: one from another host
 * leaves no lease here. So what is found off is taken for such a shot, and left alone for as long
 * as a lease would hold; then it is looked at once more. Pure.
 */
#ifndef STONITH_WATCH_REPAIR_H
#define STONITH_WATCH_REPAIR_H

#include <stddef.h>
#include <stdint.h>

enum { WATCH_REPAIR_GAP_MAX = 3600000 }; /* ms between two tries, at most */

enum watch_repair_step {
	WATCH_REPAIR_REST,  /* nothing is off */
	WATCH_REPAIR_WAIT,  /* until *ret_at; then it is to be looked at anew */
	WATCH_REPAIR_WRONG, /* all are off and we run: they are not ours. Nothing is switched */
	WATCH_REPAIR_ACT,
};

struct watch_repair_view {
	size_t off, on, unknown; /* of our own outlets, when last looked at */
	uint64_t off_since;      /* ms: since one of them has been off */
	uint64_t looked;         /* ms: when all of them had been looked at; 0 = not yet */
	uint64_t not_before;     /* ms: after a try that failed; 0 = none did */
	uint64_t lease;          /* ms */
};

enum watch_repair_step watch_repair_decide(
	const struct watch_repair_view *v, uint64_t now, uint64_t *ret_at);

/* ms until the next try, after FAILS (1 or more) in a row. */
uint64_t watch_repair_gap(unsigned fails, uint64_t interval);

#endif
