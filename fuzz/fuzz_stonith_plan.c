/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What PDUs may answer, and a fence plan: the input says which PDUs there are, and then what
 * becomes of each request: values of any kind in its objects, faults, answers that are late,
 * foreign or of the wrong kind. Nothing of the plan's inside is looked at to know when it may say
 * success.
 *
 * Input: goal, lanes, outlets of each, dwell; a profile for each lane; then events.
 */
#include "fuzz.h"

#include "fence.h"
#include "util.h"

#include <string.h>

enum { LANES = 3, OUTLETS = 3 };

struct input {
	const uint8_t *data;
	size_t size;
};

/* 0 when there is no more. */
static uint8_t take(struct input *in)
{
	if (in->size == 0)
		return 0;
	in->size--;
	return *in->data++;
}

struct world {
	struct fence plan;
	struct fence_steps steps;
	struct fence_times times;
	uint64_t now;
	const struct profile *profiles[LANES];
	size_t lanes, outlets_each;
	struct {
		struct fence_step step; /* under way; id 0 = none */
		uint64_t began;
		bool identified;
	} lane[LANES];
	struct {
		bool acknowledged;
		unsigned reads; /* as wanted, in a row, since the last change of any */
		uint64_t first_end, last_begin;
	} outlet[LANES * OUTLETS];
};

static size_t count(const struct world *w)
{
	return w->lanes * w->outlets_each;
}

static bool is_change(enum fence_op op)
{
	return op == FENCE_CANCEL || op == FENCE_SET_OFF || op == FENCE_SET_ON;
}

static void forget(struct world *w)
{
	for (size_t i = 0; i < count(w); i++)
		w->outlet[i].reads = 0;
}

/* Judging. */

static void check_change(struct world *w, const struct fence_step *s)
{
	bool on = w->plan.goal == FENCE_ON || w->plan.off_at != 0;

	REQUIRE(w->lane[s->lane].identified);
	REQUIRE(s->outlet / w->outlets_each == s->lane);
	REQUIRE(w->plan.goal != FENCE_READ);
	REQUIRE(s->op == FENCE_CANCEL || w->plan.goal != FENCE_TEST);
	REQUIRE(s->op == FENCE_CANCEL || (s->op == FENCE_SET_ON) == on);
	if (s->op != FENCE_CANCEL)
		w->outlet[s->outlet].acknowledged = false;
	forget(w);
}

static void check_off(const struct world *w)
{
	uint64_t all = 0;

	for (size_t i = 0; i < count(w); i++) {
		REQUIRE(w->outlet[i].acknowledged && w->outlet[i].reads >= 2);
		all = MAX_OF(all, w->outlet[i].first_end);
	}
	for (size_t i = 0; i < count(w); i++)
		REQUIRE(w->outlet[i].last_begin >= all + w->times.dwell);
}

static void check_success(struct world *w)
{
	if (w->plan.goal == FENCE_OFF)
		check_off(w);
	for (size_t i = 0; w->plan.goal == FENCE_ON && i < count(w); i++)
		REQUIRE(w->outlet[i].acknowledged && w->outlet[i].reads > 0);
	REQUIRE(w->plan.goal != FENCE_CYCLE || w->plan.off_at != 0);
}

/* After each event. */
static void look(struct world *w)
{
	static const struct fence_steps none;
	bool over = w->plan.verdict != FENCE_WORKING;

	REQUIRE(w->now < w->times.deadline || over);
	REQUIRE(w->steps.due > w->now);
	REQUIRE(!over || w->steps.count == 0);
	REQUIRE(w->steps.count <= w->lanes);
	for (size_t i = 0; i < w->steps.count; i++) {
		const struct fence_step *s = &w->steps.step[i];

		REQUIRE(s->lane < w->lanes && w->lane[s->lane].step.id == 0 && s->id != 0);
		if (is_change(s->op))
			check_change(w, s);
		w->lane[s->lane].step = *s;
		w->lane[s->lane].began = w->now;
	}
	if (w->plan.verdict == FENCE_SUCCESS)
		check_success(w);
	w->steps = none;
}

/* Events. */

static struct profile_reading reading(struct input *in, const struct profile *p)
{
	uint8_t b = take(in);
	struct profile_reading r = {.kind = PROFILE_INTEGER, .bits_len = 1};

	if (b < 100)
		r.value = p->state_off;
	else if (b < 130)
		r.value = p->state_on;
	else if (b < 200)
		r.value = (int32_t)b - 140;
	else
		r.kind = (enum profile_kind)(b % (PROFILE_ERROR + 1));
	r.bits[0] = b;
	return r;
}

/* Bytes that are 0 make an outlet that is off and idle, so that a plan can get far. */
static enum outlet_state outlet(struct world *w, struct input *in, size_t at, int32_t *value)
{
	const struct profile *p = w->profiles[at / w->outlets_each];
	struct oid_key key = {p->key_parts, {1, 1, 1}};
	struct oid oids[PROFILE_READS];
	struct profile_reading r[PROFILE_READS];
	size_t n = profile_reads(p, &key, oids);

	if (take(in) < 128) {
		*value = p->state_off;
		return OUTLET_OFF;
	}
	for (size_t i = 0; i < n; i++)
		r[i] = reading(in, p);
	return profile_judge(p, r, n, value);
}

static void read_lane(struct world *w, struct input *in, uint8_t lane, const struct fence_step *s)
{
	enum outlet_state states[OUTLETS];
	int32_t values[OUTLETS];

	for (size_t i = 0; i < w->outlets_each; i++) {
		size_t at = lane * w->outlets_each + i;
		bool on = w->plan.goal == FENCE_ON || w->plan.off_at != 0;

		states[i] = outlet(w, in, at, &values[i]);
		if (states[i] != (on ? OUTLET_ON : OUTLET_OFF)) {
			forget(w);
			continue;
		}
		if (w->outlet[at].reads++ == 0)
			w->outlet[at].first_end = w->now;
		w->outlet[at].last_begin = w->lane[lane].began;
	}
	fence_read(&w->plan, lane, s->id, states, values, w->outlets_each, w->now, &w->steps);
}

static void answer(struct world *w, struct input *in, uint8_t lane, const struct fence_step *s)
{
	bool right = take(in) < 240;

	if (s->op == FENCE_IDENTIFY) {
		w->lane[lane].identified = right;
		fence_identified(&w->plan, lane, s->id, right, w->now, &w->steps);
	} else if (s->op == FENCE_READ_ALL) {
		read_lane(w, in, lane, s);
	} else {
		if (s->op != FENCE_CANCEL)
			w->outlet[s->outlet].acknowledged = true;
		fence_done(&w->plan, lane, s->id, w->now, &w->steps);
	}
}

/* A request ends. */
static void end(struct world *w, struct input *in, uint8_t lane, uint8_t how)
{
	struct fence_step s = w->lane[lane].step;

	if (s.id == 0)
		return;
	w->lane[lane].step.id = 0;
	if (is_change(s.op))
		forget(w);
	if (how < 200)
		answer(w, in, lane, &s);
	else if (how < 240)
		fence_failed(&w->plan, lane, s.id, (enum fence_fault)(how % FENCE_FAULTS), w->now,
			&w->steps);
	else if (s.op == FENCE_IDENTIFY || s.op == FENCE_READ_ALL)
		fence_done(&w->plan, lane, s.id, w->now, &w->steps);
	else
		fence_identified(&w->plan, lane, s.id, true, w->now, &w->steps);
	look(w);
}

/* Of nobody's request. */
static void stray(struct world *w, uint8_t b)
{
	static const enum outlet_state states[OUTLETS] = {OUTLET_OFF, OUTLET_OFF, OUTLET_OFF};
	static const int32_t values[OUTLETS];
	uint8_t lane = (uint8_t)(b % (w->lanes + 2));
	uint32_t id = w->plan.last_id + 1 + b;

	fence_read(&w->plan, lane, id, states, values, w->outlets_each, w->now, &w->steps);
	look(w);
	fence_identified(&w->plan, lane, 0, true, w->now, &w->steps);
	look(w);
}

static void event(struct world *w, struct input *in)
{
	uint8_t b = take(in);

	w->now += take(in) % 64U * (b % 8U == 7 ? 20U : 1U);
	if (b < 200) {
		end(w, in, (uint8_t)(b % w->lanes), take(in));
	} else if (b < 210) {
		stray(w, b);
	} else {
		fence_tick(&w->plan, w->now, &w->steps);
		look(w);
	}
}

static void begin(struct world *w, struct input *in)
{
	enum fence_goal goal = (enum fence_goal)(take(in) % FENCE_GOALS);
	uint8_t lanes[LANES * OUTLETS];
	bool cancels[LANES * OUTLETS];

	w->lanes = 1 + take(in) % LANES;
	w->outlets_each = 1 + take(in) % OUTLETS;
	w->times = (struct fence_times){.deadline = 20000, .dwell = take(in) * 4U, .on_pause = 100};
	for (size_t i = 0; i < w->lanes; i++)
		w->profiles[i] = &profile_table[take(in) % profile_count];
	for (size_t i = 0; i < count(w); i++) {
		lanes[i] = (uint8_t)(i / w->outlets_each);
		cancels[i] = profile_has_cancel(w->profiles[lanes[i]]);
	}
	fence_init(&w->plan, goal, &w->times, lanes, cancels, count(w));
	fence_tick(&w->plan, w->now, &w->steps);
	look(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world w;
	struct input in = {data, size};

	memset(&w, 0, sizeof(w));
	begin(&w, &in);
	while (in.size > 0 && w.plan.verdict == FENCE_WORKING)
		event(&w, &in);
	/* Silence from here on: at the deadline it is over. */
	w.now = MAX_OF(w.now, w.times.deadline);
	fence_tick(&w.plan, w.now, &w.steps);
	look(&w);
	REQUIRE(w.plan.verdict != FENCE_WORKING);
	fence_power(&w.plan);
	return 0;
}
