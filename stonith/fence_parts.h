/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between the files of the plan, for nobody else: fence.c takes events and says what is due,
 * fence_lane.c walks one lane, fence_sweep.c decides for all of them, and is where success is.
 */
#ifndef STONITH_FENCE_PARTS_H
#define STONITH_FENCE_PARTS_H

#include "fence.h"

static inline bool fence_switches(const struct fence *f)
{
	return fence_goal_switches(f->goal);
}

/* Is the outlet as wanted, as far as its last reading tells? */
bool fence_is_good(const struct fence *f, const struct fence_outlet *o);

/* fence_lane.c: results of the request that was under way. */
void fence_lane_identified(struct fence *f, struct fence_lane *l, bool right, uint64_t now);
void fence_lane_done(struct fence *f, struct fence_lane *l, uint64_t now);
void fence_lane_read(struct fence *f, struct fence_lane *l, const enum outlet_state *states,
	const int32_t *values, uint64_t now);
void fence_lane_failed(struct fence *f, struct fence_lane *l, enum fence_fault fault, uint64_t now);

/* A round of cancels and sets of all that is not as wanted, from NOW on. */
void fence_lane_round(struct fence *f, struct fence_lane *l, uint64_t now);
/* When fence_lane_next() has something; FENCE_NEVER = not before other things happen. */
uint64_t fence_lane_due(const struct fence *f, const struct fence_lane *l);
/* Of a lane that is not busy and due: its next request. */
void fence_lane_next(struct fence *f, struct fence_lane *l, uint64_t now, struct fence_step *ret);

/* fence_sweep.c: a lane is not as wanted any more, or that is not certain. */
void fence_sweep_break(struct fence *f);
/* After each event: sweeps, halves, verdict. */
void fence_settle(struct fence *f, uint64_t now);
uint64_t fence_sweep_due(const struct fence *f);
/* The half at hand cannot be had (any more): failure, but for the second half of a CYCLE. */
void fence_give_up(struct fence *f);

#endif
