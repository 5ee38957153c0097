/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is to be done about a snapshot that fills while it is copied. Pure: moments in, verdicts
 * out.
 *
 * A forecast is taken of the last SNAP_MOMENTS moments: when the snapshot is full if it goes on
 * filling so, and when the copy is done if it goes on reading so.
 */
#ifndef LVM_SNAP_POLICY_H
#define LVM_SNAP_POLICY_H

#include "vg_fill.h"

#include <stdbool.h>
#include <stdint.h>

enum { SNAP_MOMENTS = 16, SNAP_HURRY_S = 15 /* sooner full than that: extended at once */ };

#define SNAP_NEVER UINT64_MAX

struct snap_rules {
	uint64_t origin;    /* bytes to be read */
	uint64_t full;      /* bytes that are enough for ever */
	uint64_t extend_at; /* %, 0 = never */
	uint64_t extend_by; /* % of what it has */
};

struct snap_moment {
	uint64_t ms;
	struct vg_fill fill;
};

struct snap_watch {
	struct snap_rules rules;
	struct snap_moment ring[SNAP_MOMENTS];
	unsigned count;   /* of moments seen */
	uint64_t begin;   /* `read` of the first */
	uint64_t peak;    /* most that was used, bytes */
	bool cannot_grow; /* set by the owner: the volume group has no room */
};

enum snap_verdict {
	SNAP_FINE,
	SNAP_GROW,   /* to snap_forecast.grow_to, or as near as there is room */
	SNAP_DOOMED, /* cannot grow, and will be full before the copy is done */
	SNAP_LOST,   /* has overflowed */
};

struct snap_forecast {
	uint64_t full_s, done_s; /* seconds, or SNAP_NEVER: not at this rate, or not known */
	uint64_t grow_to;        /* bytes; of SNAP_GROW */
};

void snap_watch_init(struct snap_watch *w, const struct snap_rules *rules);

/* Moments come in the order of time. */
enum snap_verdict snap_watch_next(
	struct snap_watch *w, const struct snap_moment *m, struct snap_forecast *ret);

/* Used of total, %. */
unsigned snap_percent(uint64_t used, uint64_t total);

#endif
