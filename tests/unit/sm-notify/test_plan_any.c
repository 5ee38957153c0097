/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Peers that do anything at any moment, and what a plan must hold to all the same. A model of what
 * is out (TCP conversations, the lookup) limits the events to those a caller may give.
 */
#include "planned.h"
#include "rnd.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { MINUTE = PLANNED_MINUTE };

static struct planned t;

struct model {
	struct plan_step conversation[PLAN_CANDS_MAX];
	uint8_t name[PLAN_CANDS_MAX];
	uint64_t due;
	unsigned names, sent_since_tick;
	bool resolving, over;
};

static void check_conversation(const struct plan_cand *c, const struct plan_step *s)
{
	struct plan_step same = plan_conversation(c, s->cand);

	assert_int_equal(same.what, s->what);
	assert_int_equal(same.cand, s->cand);
	assert_int_equal(same.by, s->by);
	if (s->what == PLAN_TELL) {
		assert_int_equal(same.port, s->port);
		return;
	}
	assert_int_equal(same.method, s->method);
	assert_int_equal(same.prot, s->prot);
}

static void check_send(struct model *m, const struct plan_step *s)
{
	const struct plan_cand *c = &t.cands[s->cand];

	assert_in_range(s->cand, 0, t.plan.count - 1);
	assert_true(c->v6 ? t.world.v6 : t.world.v4);
	if (s->what == PLAN_TELL)
		assert_int_not_equal(s->port, 0);
	if (s->by == RPC_UDP)
		return;
	assert_true(c->busy);
	check_conversation(c, s);
	assert_int_equal(m->conversation[s->cand].what, PLAN_RESOLVE); /* = none */
	m->conversation[s->cand] = *s;
	m->name[s->cand] = t.plan.name;
}

static void check_steps(struct model *m)
{
	assert_in_range(t.steps.count, 0, PLAN_STEPS_MAX);
	if (t.steps.due) {
		assert_in_range(t.steps.due, t.world.now + 1, t.world.now + 2 * MINUTE);
		assert_true(t.steps.due <= t.world.deadline);
		m->due = t.steps.due;
	}
	for (size_t i = 0; i < t.steps.count; i++) {
		const struct plan_step *s = &t.steps.step[i];

		if (s->what == PLAN_RESOLVE) {
			assert_false(m->resolving);
			m->resolving = true;
		} else if (s->what == PLAN_NEXT) {
			assert_int_equal(i, 0);
			m->names--;
		} else if (s->what == PLAN_GIVE_UP) {
			assert_true(t.world.now >= t.world.deadline);
			m->over = true;
		} else {
			check_send(m, s);
			m->sent_since_tick++;
		}
	}
	/* Nobody makes us send without end: a tick's own, the races of each candidate. */
	assert_true(m->sent_since_tick <= 40 * (t.plan.count + 1u));
	planned_draw(&t);
	m->over = m->over || m->names == 0;
}

static enum plan_fault some_fault(struct rnd *rnd, enum plan_what what)
{
	static const enum plan_fault plain[] = {
		PLAN_UNREACHABLE, PLAN_REFUSED, PLAN_BAD_REPLY, PLAN_CUT, PLAN_SILENT};
	unsigned base = what == PLAN_ASK ? PLAN_ASK_ANSWER : PLAN_TELL_ANSWER;

	if (rnd_once_in(rnd, 2))
		return plain[rnd_below(rnd, ARRAY_LEN(plain))];
	return (enum plan_fault)(base + 1 + rnd_below(rnd, RPC_AUTH_DENIED));
}

static void end_step(struct model *m, struct rnd *rnd, const struct plan_step *s, uint8_t name)
{
	if (rnd_once_in(rnd, 3))
		plan_failed(&t.plan, t.cands, s, some_fault(rnd, s->what), &t.world, &t.steps);
	else if (s->what == PLAN_ASK)
		plan_port(&t.plan, t.cands, s, (uint16_t)(rnd_below(rnd, 3) * 1000), &t.world,
			&t.steps);
	else
		plan_told(&t.plan, t.cands, s, name, m->names > 1, &t.world, &t.steps);
}

static void udp_event(struct model *m, struct rnd *rnd)
{
	uint8_t at = (uint8_t)rnd_below(rnd, t.plan.count);
	struct plan_step s;

	if (rnd_once_in(rnd, 2) && t.cands[at].ask_xid)
		s = plan_question(&t.cands[at], at);
	else if (t.cands[at].tell_xid)
		s = plan_notification(&t.cands[at], at);
	else
		return;
	end_step(m, rnd, &s, t.plan.name);
	check_steps(m);
}

static void tcp_event(struct model *m, struct rnd *rnd)
{
	uint8_t at = (uint8_t)rnd_below(rnd, t.plan.count);
	struct plan_step s = m->conversation[at];

	if (s.what == PLAN_RESOLVE)
		return;
	m->conversation[at].what = PLAN_RESOLVE;
	end_step(m, rnd, &s, m->name[at]);
	check_steps(m);
}

static void resolve_event(struct model *m, struct rnd *rnd)
{
	size_t count = t.plan.count;

	if (!m->resolving)
		return;
	m->resolving = false;
	if (count < PLAN_CANDS_MAX && rnd_once_in(rnd, 3))
		t.cands[count++].v6 = rnd_once_in(rnd, 2);
	plan_resolved(&t.plan, t.cands, count, &t.world, &t.steps);
	check_steps(m);
}

static void any_event(struct model *m, struct rnd *rnd)
{
	t.world.random = (uint32_t)rnd_next(rnd);
	if (t.world.now >= m->due || rnd_once_in(rnd, 3)) {
		t.world.now = MAX_OF(m->due, t.world.now);
		m->sent_since_tick = 0;
		plan_tick(&t.plan, t.cands, &t.world, &t.steps);
		check_steps(m);
	} else if (rnd_once_in(rnd, 4)) {
		resolve_event(m, rnd);
	} else if (t.plan.count > 0 && rnd_once_in(rnd, 2)) {
		udp_event(m, rnd);
	} else if (t.plan.count > 0) {
		tcp_event(m, rnd);
	}
	if (rnd_once_in(rnd, 3))
		t.world.now += rnd_below(rnd, 900);
}

static void test_anything(void **state)
{
	static const char *const families[] = {"", "4", "6", "44", "4646", "4444444466666666"};
	struct rnd rnd;
	unsigned done = 0;

	(void)state;
	rnd_init(&rnd, 2);
	for (unsigned i = 0; i < 4000; i++) {
		struct model m = {.due = PLANNED_START, .names = 1 + (unsigned)rnd_below(&rnd, 4)};

		planned_begin(&t, families[rnd_below(&rnd, ARRAY_LEN(families))], true);
		t.plan.named = rnd_once_in(&rnd, 2);
		t.world.v4 = !rnd_once_in(&rnd, 8);
		t.world.v6 = !rnd_once_in(&rnd, 8);
		t.world.deadline = PLANNED_START + 1 + rnd_below(&rnd, 15 * MINUTE);
		for (unsigned n = 0; n < 3000 && !m.over; n++)
			any_event(&m, &rnd);
		done += m.over;
	}
	assert_true(done > 3000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
