/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One lane's walk: identify, look, rounds of cancels and sets, reads; then it waits, watches, and
 * is swept. In a round each outlet that is not as wanted is tried once, whatever comes of it, so
 * none is kept waiting by another. A PDU that gave no answer twice is believed nothing it said
 * before.
 */
#include "fence_parts.h"

#include "util.h"

enum {
	LOST_MS = 100, /* after a request without an answer, doubling to */
	LOST_MAX_MS = 1000,
	LOST_TRIES = 2, /* in a row, then anew */
	POLL_MS = 20,   /* doubling to */
	POLL_MAX_MS = 250,
	ROUND_MS = 2000, /* doubling to */
	ROUND_MAX_MS = 8000,
	WATCH_MS = 2000,
	AUTH_TRIES = 3, /* where nothing is at stake */
};

static bool is_change(enum fence_op op)
{
	return op == FENCE_CANCEL || op == FENCE_SET_OFF || op == FENCE_SET_ON;
}

/* An answer, even if it is a no. */
static bool is_refusal(enum fence_fault fault)
{
	return fault == FENCE_READ_ONLY || fault == FENCE_REFUSED;
}

static bool lane_good(const struct fence *f, const struct fence_lane *l)
{
	for (uint8_t i = 0; i < l->count; i++) {
		if (!fence_is_good(f, &f->outlets[l->first + i]))
			return false;
	}
	return true;
}

/* Rounds. */

static bool wants_cancel(const struct fence *f, const struct fence_outlet *o)
{
	if (!o->has_cancel || o->cancelled || o->cancel_tried)
		return false;
	if (f->goal != FENCE_TEST)
		return true;
	/* What is pending there is somebody's wish; and a no is what a test wants to know. */
	return (o->last == OUTLET_OFF || o->last == OUTLET_ON) && !is_refusal(o->fault);
}

static bool wants_set(const struct fence_outlet *o)
{
	return !o->set && !o->set_tried;
}

/* The next outlet of the lane for its phase, or -1. */
static int candidate(const struct fence *f, const struct fence_lane *l)
{
	for (uint8_t i = 0; i < l->count; i++) {
		const struct fence_outlet *o = &f->outlets[l->first + i];

		if (l->phase == FENCE_CANCELLING ? wants_cancel(f, o) : wants_set(o))
			return l->first + i;
	}
	return -1;
}

/* The first read comes at once, unless the lane has to rest. */
static void end_round(struct fence_lane *l, uint64_t now)
{
	l->phase = FENCE_READING;
	l->poll_gap = 0;
	l->again = MAX_OF(l->again, now);
	if (l->lost) {
		l->round_again = now + LOST_MS;
		return;
	}
	l->round_gap =
		l->round_gap == 0 ? ROUND_MS : MIN_OF(l->round_gap * 2, (uint32_t)ROUND_MAX_MS);
	l->round_again = now + l->round_gap;
}

/* TEST: what got no answer is asked again. */
static void end_test(struct fence *f, struct fence_lane *l)
{
	if (l->lost) {
		l->lost = false;
		for (uint8_t i = 0; i < l->count; i++)
			f->outlets[l->first + i].cancel_tried = false;
		if (candidate(f, l) >= 0)
			return;
	}
	l->phase = FENCE_ARRIVED;
}

/* On to the phase that has something to do. */
static void advance(struct fence *f, struct fence_lane *l, uint64_t now)
{
	if (l->phase == FENCE_CANCELLING && candidate(f, l) < 0) {
		if (f->goal == FENCE_TEST) {
			end_test(f, l);
			return;
		}
		l->phase = FENCE_SETTING;
	}
	if (l->phase == FENCE_SETTING && candidate(f, l) < 0)
		end_round(l, now);
}

void fence_lane_round(struct fence *f, struct fence_lane *l, uint64_t now)
{
	for (uint8_t i = 0; i < l->count; i++) {
		struct fence_outlet *o = &f->outlets[l->first + i];

		o->cancel_tried = o->set_tried = false;
		if (fence_is_good(f, o))
			continue;
		o->set = false;
		if (o->last == OUTLET_PENDING)
			o->cancelled = false;
	}
	l->lost = false;
	l->phase = FENCE_CANCELLING;
	l->again = now;
	advance(f, l, now);
}

/* It was as wanted, and is not. */
static void relapse(struct fence *f, struct fence_lane *l, uint64_t now)
{
	fence_sweep_break(f);
	l->round_gap = 0;
	fence_lane_round(f, l, now);
}

/* As relapse(), but nothing says that it is not. */
static void doubt(struct fence *f, struct fence_lane *l, uint64_t now)
{
	fence_sweep_break(f);
	l->phase = FENCE_READING;
	l->round_gap = ROUND_MS;
	l->round_again = now + ROUND_MS;
}

/* Whoever answers now may not be who answered before. */
static void start_over(struct fence *f, struct fence_lane *l)
{
	fence_sweep_break(f);
	l->phase = FENCE_IDENTIFYING;
	l->lost = true;
	if (!fence_switches(f))
		return;
	for (uint8_t i = 0; i < l->count; i++)
		f->outlets[l->first + i].set = f->outlets[l->first + i].cancelled = false;
}

/* Results. */

static void answered(struct fence_lane *l, uint64_t now)
{
	l->fault = FENCE_NO_FAULT;
	l->tries = 0;
	l->again = now;
}

static void fail_for_good(struct fence *f, struct fence_lane *l, enum fence_fault fault)
{
	fence_sweep_break(f);
	l->phase = FENCE_FAILED;
	l->fault = fault;
}

void fence_lane_identified(struct fence *f, struct fence_lane *l, bool right, uint64_t now)
{
	if (!right) {
		fail_for_good(f, l, FENCE_WRONG_SYSTEM);
		return;
	}
	answered(l, now);
	l->phase = l->looked ? FENCE_CANCELLING : FENCE_LOOKING;
	advance(f, l, now);
}

void fence_lane_done(struct fence *f, struct fence_lane *l, uint64_t now)
{
	struct fence_outlet *o = &f->outlets[l->outlet];

	answered(l, now);
	if (l->op == FENCE_CANCEL)
		o->cancelled = true;
	else
		o->set = true;
	if (o->cancelled || !o->has_cancel)
		o->fault = FENCE_NO_FAULT;
	advance(f, l, now);
}

static void store(struct fence *f, const struct fence_lane *l, const enum outlet_state *states,
	const int32_t *values)
{
	for (uint8_t i = 0; i < l->count; i++) {
		struct fence_outlet *o = &f->outlets[l->first + i];

		o->last = states[i];
		o->last_value = values[i];
		o->read_id = l->id;
		if (l->phase != FENCE_LOOKING)
			continue;
		o->before = states[i];
		o->before_value = values[i];
	}
}

static void looked(struct fence *f, struct fence_lane *l, uint64_t now)
{
	l->looked = true;
	if (f->goal == FENCE_READ)
		l->phase = FENCE_ARRIVED;
	else
		fence_lane_round(f, l, now);
}

static void poll(struct fence *f, struct fence_lane *l, uint64_t now)
{
	if (lane_good(f, l)) {
		l->phase = FENCE_ARRIVED;
		l->again = now + WATCH_MS;
		return;
	}
	l->poll_gap = l->poll_gap == 0 ? POLL_MS : MIN_OF(l->poll_gap * 2, (uint32_t)POLL_MAX_MS);
	l->again = now + l->poll_gap;
}

void fence_lane_read(struct fence *f, struct fence_lane *l, const enum outlet_state *states,
	const int32_t *values, uint64_t now)
{
	answered(l, now);
	store(f, l, states, values);
	if (l->phase == FENCE_LOOKING)
		looked(f, l, now);
	else if (l->phase == FENCE_READING)
		poll(f, l, now);
	else if (!lane_good(f, l))
		relapse(f, l, now);
	else if (l->phase == FENCE_SWEEPING)
		l->phase = FENCE_SWEPT;
	else
		l->again = now + WATCH_MS;
}

/* The PDU says no to a SET: others may be luckier. To a GET: it is asked again. */
static void refused(struct fence *f, struct fence_lane *l, enum fence_fault fault, uint64_t now)
{
	answered(l, now);
	if (is_change(l->op)) {
		f->outlets[l->outlet].fault = fault;
		advance(f, l, now);
		return;
	}
	l->fault = fault;
	if (l->phase == FENCE_LOOKING && fence_switches(f)) {
		looked(f, l, now);
		return;
	}
	l->again = now + POLL_MAX_MS;
	if (l->phase == FENCE_LOOKING)
		return;
	if (l->phase != FENCE_READING)
		doubt(f, l, now);
	l->poll_gap = POLL_MAX_MS;
}

static uint64_t rest(const struct fence_lane *l)
{
	return MIN_OF((uint64_t)LOST_MS << MIN_OF(l->tries - 1, 4U), (uint64_t)LOST_MAX_MS);
}

/* The first of a row: whatever was to be done goes on, after a rest. */
static void lost_once(struct fence *f, struct fence_lane *l, uint64_t now)
{
	if (l->phase == FENCE_LOOKING && fence_switches(f))
		looked(f, l, now);
	l->again = now + rest(l);
	advance(f, l, now);
}

static void lost(struct fence *f, struct fence_lane *l, enum fence_fault fault, uint64_t now)
{
	l->tries++;
	l->fault = fault;
	if (is_change(l->op)) {
		f->outlets[l->outlet].fault = fault;
		l->lost = true;
	}
	if (l->phase == FENCE_IDENTIFYING) {
		if (fault == FENCE_AUTH && l->tries >= AUTH_TRIES && !fence_switches(f))
			fail_for_good(f, l, fault);
	} else if (l->tries < LOST_TRIES) {
		lost_once(f, l, now);
		return;
	} else {
		start_over(f, l);
	}
	l->again = now + rest(l);
}

void fence_lane_failed(struct fence *f, struct fence_lane *l, enum fence_fault fault, uint64_t now)
{
	if (l->op == FENCE_IDENTIFY && fault == FENCE_WRONG_SYSTEM)
		fail_for_good(f, l, fault);
	else if (l->op != FENCE_IDENTIFY && is_refusal(fault))
		refused(f, l, fault, now);
	else
		lost(f, l, fault == FENCE_NO_FAULT ? FENCE_BROKEN : fault, now);
}

/* Requests. */

uint64_t fence_lane_due(const struct fence *f, const struct fence_lane *l)
{
	if (l->busy || l->phase == FENCE_FAILED || l->phase == FENCE_SWEPT)
		return FENCE_NEVER;
	if (l->phase == FENCE_ARRIVED && !fence_switches(f))
		return FENCE_NEVER;
	if (l->phase == FENCE_READING && l->poll_gap > 0)
		return MIN_OF(l->again, l->round_again);
	return l->again;
}

static enum fence_op op_of(const struct fence *f, const struct fence_lane *l)
{
	switch (l->phase) {
	case FENCE_IDENTIFYING:
		return FENCE_IDENTIFY;
	case FENCE_CANCELLING:
		return FENCE_CANCEL;
	case FENCE_SETTING:
		return f->turning_on ? FENCE_SET_ON : FENCE_SET_OFF;
	default:
		return FENCE_READ_ALL;
	}
}

void fence_lane_next(struct fence *f, struct fence_lane *l, uint64_t now, struct fence_step *ret)
{
	if (l->phase == FENCE_READING && l->poll_gap > 0 && now >= l->round_again)
		fence_lane_round(f, l, now);
	l->op = op_of(f, l);
	l->busy = true;
	l->id = ++f->last_id;
	if (is_change(l->op)) {
		l->outlet = (uint8_t)candidate(f, l);
		f->last_change = l->id;
		if (l->op == FENCE_CANCEL)
			f->outlets[l->outlet].cancel_tried = true;
		else
			f->outlets[l->outlet].set_tried = true;
	}
	*ret = (struct fence_step){.id = l->id,
		.lane = (uint8_t)(l - f->lanes),
		.op = l->op,
		.outlet = is_change(l->op) ? l->outlet : 0};
}
