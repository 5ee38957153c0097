/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Readings count from when nothing that could change an outlet is under way. Success needs, of each
 * outlet: what is wanted was set and acknowledged; two readings as wanted at least, none otherwise
 * between them; the last one begun a dwell after all outlets had their first. (ON: one reading.)
 */
#include "planjudge.h"

#include "check.h"
#include "util.h"

static bool is_change(enum fence_op op)
{
	return op == FENCE_CANCEL || op == FENCE_SET_OFF || op == FENCE_SET_ON;
}

static bool is_answer(enum fence_fault outcome)
{
	return outcome == FENCE_NO_FAULT || outcome == FENCE_READ_ONLY || outcome == FENCE_REFUSED;
}

static void forget_reads(struct plansim *s)
{
	for (size_t i = 0; i < s->outlet_count; i++)
		s->outlets[i].good_reads = 0;
}

void planjudge_end(struct plansim *s, const struct fence_step *step, enum fence_fault outcome)
{
	struct plansim_pdu *p = &s->pdus[step->lane];

	p->losses = is_answer(outcome) ? 0 : p->losses + 1;
	if (p->losses >= 2)
		p->identified = false;
	if (step->op == FENCE_IDENTIFY && outcome == FENCE_NO_FAULT)
		p->identified = profile_has_system(p->profile, &p->system);
	if (is_change(step->op))
		forget_reads(s);
	if (step->op == FENCE_SET_OFF || step->op == FENCE_SET_ON)
		s->outlets[step->outlet].acknowledged = outcome == FENCE_NO_FAULT;
}

void planjudge_read(
	struct plansim *s, struct plansim_outlet *o, enum outlet_state state, uint64_t began)
{
	if (state != (s->plan.turning_on ? OUTLET_ON : OUTLET_OFF)) {
		forget_reads(s);
		return;
	}
	if (o->good_reads++ == 0)
		o->good_since = s->now;
	o->good_begun = began;
}

static bool may_set_on(const struct plansim *s)
{
	return s->plan.goal == FENCE_ON || (s->plan.goal == FENCE_CYCLE && s->plan.off_at != 0);
}

static void judge_change(struct plansim *s, const struct fence_step *step)
{
	CHECK(s->pdus[step->lane].identified);
	CHECK(step->outlet < s->outlet_count && s->outlets[step->outlet].pdu == step->lane);
	CHECK(s->plan.goal != FENCE_READ);
	CHECK(step->op == FENCE_CANCEL || s->plan.goal != FENCE_TEST);
	CHECK(step->op != FENCE_SET_ON || may_set_on(s));
	CHECK(step->op != FENCE_SET_OFF || !may_set_on(s));
	if (step->op != FENCE_CANCEL)
		s->outlets[step->outlet].acknowledged = false;
	forget_reads(s);
}

static void judge_off(const struct plansim *s)
{
	uint64_t all_off = 0;

	CHECK(s->outlet_count > 0);
	for (size_t i = 0; i < s->outlet_count; i++) {
		CHECK(s->outlets[i].acknowledged);
		CHECK(s->outlets[i].good_reads >= 2);
		all_off = MAX_OF(all_off, s->outlets[i].good_since);
	}
	for (size_t i = 0; i < s->outlet_count; i++)
		CHECK(s->outlets[i].good_begun >= all_off + s->plan.times.dwell);
	for (size_t i = 0; i < s->pdu_count; i++)
		CHECK(s->pdus[i].step.id == 0 || s->plan.goal == FENCE_CYCLE);
}

/* The off half of a CYCLE ends without a verdict. */
static void judge_half(struct plansim *s)
{
	if (s->plan.goal != FENCE_CYCLE || s->plan.off_at == 0 || s->half)
		return;
	s->half = true;
	judge_off(s);
	forget_reads(s);
}

void planjudge_steps(struct plansim *s)
{
	judge_half(s);
	CHECK(s->steps.count <= s->pdu_count);
	CHECK(s->plan.verdict == FENCE_WORKING || s->steps.count == 0);
	CHECK(s->steps.due > s->now);
	for (size_t i = 0; i < s->steps.count; i++) {
		const struct fence_step *step = &s->steps.step[i];

		CHECK(step->lane < s->pdu_count && s->pdus[step->lane].step.id == 0);
		CHECK(step->id != 0);
		if (is_change(step->op))
			judge_change(s, step);
	}
}

static void judge_on(const struct plansim *s)
{
	for (size_t i = 0; i < s->outlet_count; i++) {
		CHECK(s->outlets[i].acknowledged);
		CHECK(s->outlets[i].good_reads >= 1);
	}
}

void planjudge_verdict(struct plansim *s)
{
	if (s->plan.verdict == FENCE_WORKING)
		return;
	CHECK(s->steps.due == FENCE_NEVER && s->steps.count == 0);
	CHECK(!s->plan.on_failed || (s->plan.goal == FENCE_CYCLE && s->half));
	if (s->plan.verdict == FENCE_FAILURE)
		return;
	if (s->plan.goal == FENCE_OFF)
		judge_off(s);
	else if (s->plan.goal == FENCE_ON || (s->plan.goal == FENCE_CYCLE && !s->plan.on_failed))
		judge_on(s);
	CHECK(s->plan.goal != FENCE_CYCLE || s->half);
}
