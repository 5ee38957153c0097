/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events in, steps out: finds the request a result belongs to, keeps the deadline, and asks every
 * lane that may do something for its next request. What is decided is in fence_lane.c and
 * fence_sweep.c. An event at or behind the deadline counts for nothing.
 */
#include "fence.h"

#include "fence_parts.h"
#include "util.h"

#include <string.h>

/* From 0, ascending, without gaps; each lane gets its outlets. */
static bool take_lanes(struct fence *f, const uint8_t *lanes, const bool *has_cancel)
{
	for (size_t i = 0; i < f->outlet_count; i++) {
		if (lanes[i] == f->lane_count && f->lane_count < FENCE_LANES_MAX)
			f->lanes[f->lane_count++].first = (uint8_t)i;
		else if (f->lane_count == 0 || lanes[i] != f->lane_count - 1)
			return false;
		f->lanes[lanes[i]].count++;
		f->outlets[i].lane = lanes[i];
		f->outlets[i].has_cancel = has_cancel[i];
	}
	return f->lane_count > 0;
}

void fence_init(struct fence *f, enum fence_goal goal, const struct fence_times *times,
	const uint8_t *lanes, const bool *has_cancel, size_t outlets)
{
	memset(f, 0, sizeof(*f));
	f->goal = goal;
	f->times = *times;
	f->turning_on = goal == FENCE_ON;
	f->outlet_count = outlets;
	if (goal < FENCE_GOALS && outlets <= FENCE_OUTLETS_MAX && take_lanes(f, lanes, has_cancel))
		return;
	f->outlet_count = f->lane_count = 0;
	f->verdict = FENCE_FAILURE;
}

static uint64_t due(const struct fence *f)
{
	uint64_t at = MIN_OF(f->times.deadline, fence_sweep_due(f));

	if (f->verdict != FENCE_WORKING)
		return FENCE_NEVER;
	for (size_t i = 0; i < f->lane_count; i++)
		at = MIN_OF(at, fence_lane_due(f, &f->lanes[i]));
	return at;
}

/* False: nothing counts any more. */
static bool begin(struct fence *f, uint64_t now, struct fence_steps *out)
{
	memset(out, 0, sizeof(*out));
	out->due = FENCE_NEVER;
	if (f->verdict == FENCE_WORKING && now >= f->times.deadline)
		fence_give_up(f);
	return f->verdict == FENCE_WORKING;
}

static void end(struct fence *f, uint64_t now, struct fence_steps *out)
{
	fence_settle(f, now);
	for (size_t i = 0; i < f->lane_count && f->verdict == FENCE_WORKING; i++) {
		if (now >= fence_lane_due(f, &f->lanes[i]))
			fence_lane_next(f, &f->lanes[i], now, &out->step[out->count++]);
	}
	out->due = due(f);
}

/* The lane whose request ID this is, and is over now. NULL: of nobody. */
static struct fence_lane *take(struct fence *f, uint8_t lane, uint32_t id)
{
	struct fence_lane *l = &f->lanes[lane % FENCE_LANES_MAX];

	if (lane >= f->lane_count || !l->busy || l->id != id)
		return NULL;
	l->busy = false;
	return l;
}

void fence_tick(struct fence *f, uint64_t now, struct fence_steps *out)
{
	if (begin(f, now, out))
		end(f, now, out);
}

void fence_identified(struct fence *f, uint8_t lane, uint32_t id, bool right, uint64_t now,
	struct fence_steps *out)
{
	struct fence_lane *l;

	if (!begin(f, now, out))
		return;
	l = take(f, lane, id);
	if (l && l->op == FENCE_IDENTIFY)
		fence_lane_identified(f, l, right, now);
	else if (l)
		fence_lane_failed(f, l, FENCE_BROKEN, now);
	end(f, now, out);
}

void fence_done(struct fence *f, uint8_t lane, uint32_t id, uint64_t now, struct fence_steps *out)
{
	struct fence_lane *l;

	if (!begin(f, now, out))
		return;
	l = take(f, lane, id);
	if (l && l->op != FENCE_IDENTIFY && l->op != FENCE_READ_ALL)
		fence_lane_done(f, l, now);
	else if (l)
		fence_lane_failed(f, l, FENCE_BROKEN, now);
	end(f, now, out);
}

void fence_read(struct fence *f, uint8_t lane, uint32_t id, const enum outlet_state *states,
	const int32_t *values, size_t count, uint64_t now, struct fence_steps *out)
{
	struct fence_lane *l;

	if (!begin(f, now, out))
		return;
	l = take(f, lane, id);
	if (l && l->op == FENCE_READ_ALL && count == l->count)
		fence_lane_read(f, l, states, values, now);
	else if (l)
		fence_lane_failed(f, l, FENCE_BROKEN, now);
	end(f, now, out);
}

void fence_failed(struct fence *f, uint8_t lane, uint32_t id, enum fence_fault fault, uint64_t now,
	struct fence_steps *out)
{
	struct fence_lane *l;

	if (!begin(f, now, out))
		return;
	l = take(f, lane, id);
	if (l)
		fence_lane_failed(f, l, fault, now);
	end(f, now, out);
}

enum fence_power fence_power(const struct fence *f)
{
	bool off = f->outlet_count > 0;

	for (size_t i = 0; i < f->outlet_count; i++) {
		const struct fence_outlet *o = &f->outlets[i];
		const struct fence_lane *l = &f->lanes[o->lane];
		bool known = l->phase != FENCE_FAILED && l->fault == FENCE_NO_FAULT;

		if (known && o->last == OUTLET_ON)
			return FENCE_POWER_ON;
		off = off && known && o->last == OUTLET_OFF;
	}
	return off ? FENCE_POWER_OFF : FENCE_POWER_UNKNOWN;
}

const char *fence_fault_text(enum fence_fault fault)
{
	static const char *const texts[FENCE_FAULTS] = {
		[FENCE_NO_FAULT] = "no fault",
		[FENCE_SILENT] = "no answer",
		[FENCE_UNREACHABLE] = "unreachable",
		[FENCE_AUTH] = "wrong user, key or context",
		[FENCE_READ_ONLY] = "no right to write",
		[FENCE_REFUSED] = "refused",
		[FENCE_BROKEN] = "the answer makes no sense",
		[FENCE_WRONG_SYSTEM] = "not the kind of PDU it should be",
	};

	return fault < FENCE_FAULTS ? texts[fault] : "?";
}
