/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PDUs that do anything at any moment: die, come back, refuse, lie about nothing but say odd
 * things, switch outlets by themselves. The judge of plansim.h holds the plan to its rules in
 * thousands of such days; here it is also seen that a day without faults at its end is a success.
 */
#include "plansim.h"
#include "rnd.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { DAYS = 6000, DEADLINE = 20000 };

static struct plansim s;

struct day {
	struct rnd rnd;
	unsigned trouble; /* something happens once in so many moments; 0 = nothing */
	uint64_t quiet_from;
};

static void add_pdus(struct rnd *rnd)
{
	char names[256] = "";
	size_t count = 1 + rnd_below(rnd, 3);

	for (size_t i = 0; i < count; i++) {
		strcat(names, profile_table[rnd_below(rnd, profile_count)].name);
		strcat(names, " ");
	}
	plansim_init(&s, names, 1 + (unsigned)rnd_below(rnd, 4));
}

static enum fence_fault some_fault(struct rnd *rnd)
{
	static const enum fence_fault faults[] = {FENCE_SILENT, FENCE_UNREACHABLE, FENCE_AUTH,
		FENCE_READ_ONLY, FENCE_REFUSED, FENCE_BROKEN};

	return faults[rnd_below(rnd, ARRAY_LEN(faults))];
}

static void trouble_pdu(struct rnd *rnd, struct plansim_pdu *p)
{
	switch (rnd_below(rnd, 4)) {
	case 0:
		p->dead_from = s.now;
		p->dead_until = s.now + rnd_below(rnd, 6000);
		p->dead_as = rnd_once_in(rnd, 2) ? FENCE_SILENT : FENCE_UNREACHABLE;
		break;
	case 1:
		p->get_fault = rnd_once_in(rnd, 2) ? FENCE_NO_FAULT : some_fault(rnd);
		break;
	case 2:
		p->latency = rnd_below(rnd, rnd_once_in(rnd, 4) ? 900 : 30);
		break;
	default:
		p->get_fault = FENCE_NO_FAULT;
	}
}

static void trouble_outlet(struct rnd *rnd, struct plansim_outlet *o)
{
	switch (rnd_below(rnd, 8)) {
	case 0:
		o->stuck = !o->stuck;
		break;
	case 1:
		o->slow = rnd_below(rnd, 4000);
		break;
	case 2:
		o->on = !o->on;
		break;
	case 3:
		o->later = s.now + 1 + rnd_below(rnd, 8000);
		o->later_on = rnd_once_in(rnd, 2);
		break;
	case 4:
		o->odd = !o->odd;
		/* Never a value that means on or off. */
		o->odd_as.kind = (enum profile_kind)rnd_below(rnd, PROFILE_ERROR + 1);
		o->odd_as.value = (int32_t)rnd_below(rnd, 100) + 20;
		break;
	case 5:
		o->set_fault = rnd_once_in(rnd, 2) ? FENCE_NO_FAULT : some_fault(rnd);
		break;
	case 6:
		o->cancel_fault = rnd_once_in(rnd, 2) ? FENCE_NO_FAULT : some_fault(rnd);
		break;
	default:
		o->stuck = o->odd = false;
		o->set_fault = o->cancel_fault = FENCE_NO_FAULT;
	}
}

static void heal(void)
{
	for (size_t i = 0; i < s.pdu_count; i++) {
		s.pdus[i].dead_until = MIN_OF(s.pdus[i].dead_until, s.now);
		s.pdus[i].get_fault = FENCE_NO_FAULT;
		s.pdus[i].latency = MIN_OF(s.pdus[i].latency, (uint64_t)30);
	}
	for (size_t i = 0; i < s.outlet_count; i++) {
		struct plansim_outlet *o = &s.outlets[i];

		o->stuck = o->odd = false;
		o->slow = o->later = o->moves_at = 0;
		o->set_fault = o->cancel_fault = FENCE_NO_FAULT;
	}
}

static void meddle(struct plansim *sim)
{
	struct day *d = sim->arg;

	if (sim->now >= d->quiet_from) {
		heal();
		d->trouble = 0;
	}
	if (d->trouble == 0 || !rnd_once_in(&d->rnd, d->trouble))
		return;
	if (rnd_once_in(&d->rnd, 3))
		trouble_pdu(&d->rnd, &sim->pdus[rnd_below(&d->rnd, sim->pdu_count)]);
	else
		trouble_outlet(&d->rnd, &sim->outlets[rnd_below(&d->rnd, sim->outlet_count)]);
}

static void begin_day(struct day *d, uint64_t number, enum fence_goal goal)
{
	rnd_init(&d->rnd, 1000 + number);
	add_pdus(&d->rnd);
	for (size_t i = 0; i < s.outlet_count; i++)
		s.outlets[i].on = !rnd_once_in(&d->rnd, 3);
	d->trouble = 2 + (unsigned)rnd_below(&d->rnd, 30);
	d->quiet_from = UINT64_MAX;
	s.meddle = meddle;
	s.arg = d;
	plansim_begin(&s, goal, DEADLINE, rnd_below(&d->rnd, 4000));
	if (rnd_once_in(&d->rnd, 20))
		s.pdus[0].system.part[6]++;
}

/* The judge looks; here it is only seen that both verdicts come about. */
static void test_any_day(void **state)
{
	struct day d;
	unsigned verdicts[FENCE_GOALS][3] = {{0}};

	(void)state;
	for (uint64_t i = 0; i < DAYS; i++) {
		enum fence_goal goal = (enum fence_goal)(i % FENCE_GOALS);

		begin_day(&d, i, goal);
		plansim_run(&s);
		verdicts[goal][s.plan.verdict]++;
	}
	for (enum fence_goal goal = FENCE_OFF; goal < FENCE_GOALS; goal++) {
		assert_true(verdicts[goal][FENCE_SUCCESS] > 20);
		assert_true(verdicts[goal][FENCE_FAILURE] > 20);
	}
}

/* Whatever was before: when all is well again there is success, and the outlets are what is wanted.
 */
static void test_all_is_well_in_the_end(void **state)
{
	struct day d;
	unsigned seen = 0;

	(void)state;
	for (uint64_t i = 0; i < DAYS / 3; i++) {
		enum fence_goal goal = i % 2 ? FENCE_OFF : FENCE_ON;

		begin_day(&d, DAYS + i, goal);
		s.pdus[0].system.part[6] -=
			profile_has_system(s.pdus[0].profile, &s.pdus[0].system) ? 0 : 1;
		d.quiet_from = s.now + rnd_below(&d.rnd, 5000);
		plansim_run(&s);
		assert_int_equal(s.plan.verdict, FENCE_SUCCESS);
		for (size_t n = 0; n < s.outlet_count; n++) {
			if (s.outlets[n].good_begun < d.quiet_from)
				continue; /* and switched after that */
			assert_int_equal(s.outlets[n].on, goal == FENCE_ON);
			seen++;
		}
	}
	assert_true(seen > DAYS / 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_day),
		cmocka_unit_test(test_all_is_well_in_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
