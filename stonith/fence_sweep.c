/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What holds of all lanes together, and the verdict. Whether a node is off is decided in holds()
 * alone: every outlet is as wanted by a reading of this sweep, and nothing that could change one
 * was sent since the sweep began. That looks at numbers of requests, not at what phases lanes are
 * in, so that a fault in the walk of a lane cannot become a success.
 */
#include "fence_parts.h"

#include "util.h"

enum { SWEEP_GAP_MS = 1000, WATCH_MS = 2000 };

bool fence_is_good(const struct fence *f, const struct fence_outlet *o)
{
	bool cancelled = o->cancelled || !o->has_cancel;

	switch (f->goal) {
	case FENCE_READ:
		return o->last != OUTLET_UNKNOWN;
	case FENCE_TEST:
		return cancelled && (o->last == OUTLET_OFF || o->last == OUTLET_ON);
	case FENCE_OFF:
	case FENCE_ON:
	case FENCE_CYCLE:
		return cancelled && o->set && o->last == (f->turning_on ? OUTLET_ON : OUTLET_OFF);
	case FENCE_GOALS:
		break;
	}
	return false;
}

static bool all_good(const struct fence *f)
{
	for (size_t i = 0; i < f->outlet_count; i++) {
		if (!fence_is_good(f, &f->outlets[i]))
			return false;
	}
	return f->outlet_count > 0;
}

/* Are all lanes in PHASE (or in OTHER), with nothing under way? */
static bool all_in(const struct fence *f, enum fence_phase phase, enum fence_phase other)
{
	for (size_t i = 0; i < f->lane_count; i++) {
		const struct fence_lane *l = &f->lanes[i];

		if (l->busy || (l->phase != phase && l->phase != other))
			return false;
	}
	return true;
}

static bool any_failed(const struct fence *f)
{
	for (size_t i = 0; i < f->lane_count; i++) {
		if (f->lanes[i].phase == FENCE_FAILED)
			return true;
	}
	return false;
}

/* Verdicts. */

void fence_give_up(struct fence *f)
{
	f->on_failed = f->goal == FENCE_CYCLE && f->off_at != 0;
	f->verdict = f->on_failed ? FENCE_SUCCESS : FENCE_FAILURE;
}

/* READ and TEST: done when all lanes are. */
static void settle_quiet(struct fence *f)
{
	if (!all_in(f, FENCE_ARRIVED, FENCE_FAILED))
		return;
	f->verdict = !any_failed(f) && all_good(f) ? FENCE_SUCCESS : FENCE_FAILURE;
}

/* Halves. */

static void turn_on(struct fence *f, uint64_t now)
{
	f->turning_on = true;
	f->sweeps = 0;
	for (size_t i = 0; i < f->outlet_count; i++)
		f->outlets[i].set = false;
	for (size_t i = 0; i < f->lane_count; i++) {
		f->lanes[i].round_gap = 0;
		fence_lane_round(f, &f->lanes[i], now);
		f->lanes[i].again = now + f->times.on_pause;
	}
}

static void off_verified(struct fence *f, uint64_t now)
{
	f->off_at = MAX_OF(now, (uint64_t)1);
	if (f->goal == FENCE_CYCLE)
		turn_on(f, now);
	else
		f->verdict = FENCE_SUCCESS;
}

/* Sweeps. */

static void back_to_arrived(struct fence *f, uint64_t again)
{
	f->sweep_from = 0;
	for (size_t i = 0; i < f->lane_count; i++) {
		struct fence_lane *l = &f->lanes[i];

		if (l->phase != FENCE_SWEEPING && l->phase != FENCE_SWEPT)
			continue;
		l->phase = FENCE_ARRIVED;
		l->again = again;
	}
}

void fence_sweep_break(struct fence *f)
{
	f->sweeps = 0;
	f->sweep_again = 0;
	back_to_arrived(f, 0);
}

static void begin_sweep(struct fence *f, uint64_t now)
{
	f->sweep_from = f->last_id + 1;
	f->sweep_began = now;
	for (size_t i = 0; i < f->lane_count; i++) {
		f->lanes[i].phase = FENCE_SWEEPING;
		f->lanes[i].again = now;
	}
}

static bool holds(const struct fence *f)
{
	for (size_t i = 0; i < f->outlet_count; i++) {
		if (f->outlets[i].read_id < f->sweep_from)
			return false;
	}
	return f->last_change < f->sweep_from && all_good(f);
}

/* OFF: the dwell lies between the end of the first sweep and the beginning of the last. */
static void count_sweep(struct fence *f, uint64_t now)
{
	if (f->sweeps > 0 && f->sweep_began >= f->dwell_until) {
		off_verified(f, now);
		return;
	}
	if (f->sweeps++ == 0)
		f->dwell_until = now + f->times.dwell;
	f->sweep_again = MIN_OF(now + SWEEP_GAP_MS, f->dwell_until);
}

static void end_sweep(struct fence *f, uint64_t now)
{
	bool good = holds(f);

	back_to_arrived(f, now + WATCH_MS);
	if (!good)
		fence_sweep_break(f);
	else if (f->turning_on)
		f->verdict = FENCE_SUCCESS;
	else
		count_sweep(f, now);
}

uint64_t fence_sweep_due(const struct fence *f)
{
	if (!fence_switches(f) || f->sweep_from != 0 || !all_in(f, FENCE_ARRIVED, FENCE_ARRIVED))
		return FENCE_NEVER;
	return f->sweep_again;
}

void fence_settle(struct fence *f, uint64_t now)
{
	if (!fence_switches(f)) {
		settle_quiet(f);
		return;
	}
	if (any_failed(f)) {
		if (all_in(f, FENCE_ARRIVED, FENCE_FAILED))
			fence_give_up(f);
		return;
	}
	if (f->sweep_from != 0 && all_in(f, FENCE_SWEPT, FENCE_SWEPT))
		end_sweep(f, now);
	if (f->verdict == FENCE_WORKING && now >= fence_sweep_due(f))
		begin_sweep(f, now);
}
