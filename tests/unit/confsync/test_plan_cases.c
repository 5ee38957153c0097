/* SPDX-License-Identifier: GPL-2.0-or-later */
/* plan_make() and plan_alone() by what happens to people: one line a story, with its outcome. */
#include "plan.h"

#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* A side: "A.B GENERATION FILES FLAGS", A and B the changes of both nodes ("0.0": never
 * synchronised), contents as letters, '-' = no files; flags: 'a' active, 'u' unusable, 'f' was
 * fenced. */
static struct plan_side side_of(const char *text, bool *fenced)
{
	struct plan_side s = {0};
	unsigned a, b;
	char generation, live, flags[8] = "";

	assert_true(sscanf(text, "%u.%u %c %c %7s", &a, &b, &generation, &live, flags) >= 4);
	s.number = a + b;
	s.digest[0] = (uint8_t)generation;
	s.live[0] = (uint8_t)live;
	s.empty = live == '-';
	s.active = strchr(flags, 'a');
	s.unusable = strchr(flags, 'u');
	*fenced = strchr(flags, 'f');
	for (; a > 0; a--)
		assert_int_equal(vector_bump(&s.vector, "a"), 0);
	for (; b > 0; b--)
		assert_int_equal(vector_bump(&s.vector, "b"), 0);
	return s;
}

struct story {
	const char *what, *me, *peer;
	enum plan_writer writer;
	enum plan_wish wish;
	enum plan_action action;
	enum plan_why why;
	bool set_aside;
};

#define BECAUSE(x) PLAN_BECAUSE_##x

static const struct story stories[] = {
	{"in step", "1.0 A A a", "1.0 A A", PLAN_ACTIVE, PLAN_AUTO, PLAN_NOTHING, BECAUSE(IN_STEP),
		false},
	{"edit on the active node", "1.0 A B a", "1.0 A A", PLAN_ACTIVE, PLAN_AUTO, PLAN_PUBLISH,
		BECAUSE(AHEAD), false},
	{"edit on the passive node stays, and is told", "1.0 A A a", "1.0 A B", PLAN_ACTIVE,
		PLAN_AUTO, PLAN_WAIT, BECAUSE(DRIFT_THERE), false},
	{"push there is refused", "1.0 A B", "1.0 A A a", PLAN_ACTIVE, PLAN_PUSH, PLAN_WAIT,
		BECAUSE(DRIFT_HERE), false},
	{"push --from-here is not", "1.0 A B", "1.0 A A a", PLAN_ACTIVE, PLAN_PUSH_HERE,
		PLAN_PUBLISH, BECAUSE(WISH), false},
	{"pull takes it as well", "1.0 A A a", "1.0 A B", PLAN_ACTIVE, PLAN_PULL,
		PLAN_FETCH_PUBLISH, BECAUSE(WISH), false},
	{"the active one goes on while the passive one drifted", "2.0 C C a", "1.0 A B",
		PLAN_ACTIVE, PLAN_AUTO, PLAN_HOLD, BECAUSE(BOTH), false},
	{"push does not overwrite an edit", "1.0 A B a", "1.0 A C", PLAN_ACTIVE, PLAN_PUSH,
		PLAN_HOLD, BECAUSE(BOTH), false},
	{"nor does push --from-here", "1.0 A B", "1.0 A C", PLAN_ANY, PLAN_PUSH_HERE, PLAN_HOLD,
		BECAUSE(BOTH), false},
	{"nor pull", "1.0 A B", "1.0 A C", PLAN_ANY, PLAN_PULL, PLAN_HOLD, BECAUSE(BOTH), false},
	{"resolve does, and keeps it", "1.0 A B", "1.0 A C", PLAN_MANUAL, PLAN_KEEP_MINE,
		PLAN_PUBLISH, BECAUSE(WISH), true},
	{"resolve for the peer", "2.1 D D", "1.2 E E", PLAN_MANUAL, PLAN_KEEP_THEIRS,
		PLAN_FETCH_PUBLISH, BECAUSE(WISH), true},
	{"a peer that was down catches up", "3.0 C C a", "1.0 A A", PLAN_ACTIVE, PLAN_AUTO,
		PLAN_SEND, BECAUSE(AHEAD), false},
	{"from who is not active any more, too", "3.0 C C", "1.0 A A a", PLAN_ACTIVE, PLAN_AUTO,
		PLAN_SEND, BECAUSE(AHEAD), false},
	{"and we from the peer", "1.0 A A", "1.1 C C a", PLAN_ACTIVE, PLAN_AUTO, PLAN_FETCH,
		BECAUSE(BEHIND), false},
	{"who pushes gets nothing", "1.0 A A a", "1.1 C C", PLAN_ACTIVE, PLAN_PUSH, PLAN_WAIT,
		BECAUSE(BEHIND), false},
	{"cut off from each other, both published", "2.0 B B a", "1.1 C C a", PLAN_ACTIVE,
		PLAN_AUTO, PLAN_HOLD, BECAUSE(BOTH), false},
	{"both made the same edit", "1.0 A B a", "1.0 A B", PLAN_ACTIVE, PLAN_AUTO, PLAN_AGREE,
		BECAUSE(IN_STEP), false},
	{"two active nodes write nothing", "1.0 A B a", "1.0 A A a", PLAN_ACTIVE, PLAN_AUTO,
		PLAN_WAIT, BECAUSE(TWO_ACTIVE), false},
	{"no active node does neither", "1.0 A B", "1.0 A A", PLAN_ACTIVE, PLAN_AUTO, PLAN_WAIT,
		BECAUSE(DRIFT_HERE), false},
	{"by hand: waits", "1.0 A B", "1.0 A A", PLAN_MANUAL, PLAN_AUTO, PLAN_WAIT, BECAUSE(MANUAL),
		false},
	{"by hand: pushed", "1.0 A B", "1.0 A A", PLAN_MANUAL, PLAN_PUSH, PLAN_PUBLISH,
		BECAUSE(WISH), false},
	{"any", "1.0 A A", "1.0 A B", PLAN_ANY, PLAN_AUTO, PLAN_FETCH_PUBLISH, BECAUSE(BEHIND),
		false},
	{"published and edited since: what nobody may publish is not lost", "2.0 B C", "1.0 A A",
		PLAN_MANUAL, PLAN_AUTO, PLAN_WAIT, BECAUSE(MANUAL), false},
	{"all files are gone: is it not mounted?", "1.0 A - a", "1.0 A A", PLAN_ACTIVE, PLAN_AUTO,
		PLAN_WAIT, BECAUSE(EMPTIED), false},
	{"on the peer", "1.0 A A", "1.0 A -", PLAN_ANY, PLAN_AUTO, PLAN_WAIT,
		BECAUSE(EMPTIED_THERE), false},
	{"nothing but push would do it anyway", "1.0 A -", "1.0 A A", PLAN_MANUAL, PLAN_AUTO,
		PLAN_WAIT, BECAUSE(EMPTIED), false},
	{"where push would not do either", "1.0 A -", "1.0 A A a", PLAN_ACTIVE, PLAN_AUTO,
		PLAN_WAIT, BECAUSE(DRIFT_HERE), false},
	{"the survivor's are gone", "1.0 A - a", "1.0 A C f", PLAN_ACTIVE, PLAN_AUTO, PLAN_WAIT,
		BECAUSE(EMPTIED), false},
	{"the survivor has them again", "1.0 A A a", "1.0 A - f", PLAN_ACTIVE, PLAN_AUTO,
		PLAN_PUBLISH, BECAUSE(FENCED), true},
	{"they were deleted", "1.0 A - a", "1.0 A A", PLAN_ACTIVE, PLAN_PUSH, PLAN_PUBLISH,
		BECAUSE(WISH), false},
	{"from here", "1.0 A -", "1.0 A A a", PLAN_ACTIVE, PLAN_PUSH_HERE, PLAN_PUBLISH,
		BECAUSE(WISH), false},
	{"pushed, and sent later", "2.0 - - a", "1.0 A A", PLAN_ACTIVE, PLAN_AUTO, PLAN_SEND,
		BECAUSE(AHEAD), false},

	{"first contact: equal", "0.0 0 A", "0.0 0 A", PLAN_MANUAL, PLAN_AUTO, PLAN_AGREE,
		BECAUSE(IN_STEP), false},
	{"first contact: the peer has none", "0.0 0 A", "0.0 0 -", PLAN_MANUAL, PLAN_AUTO,
		PLAN_PUBLISH, BECAUSE(FIRST), false},
	{"first contact: we have none", "0.0 0 - a", "0.0 0 A", PLAN_ACTIVE, PLAN_AUTO,
		PLAN_FETCH_PUBLISH, BECAUSE(FIRST), false},
	{"a new host for the peer", "3.1 C C", "0.0 0 -", PLAN_MANUAL, PLAN_AUTO, PLAN_SEND,
		BECAUSE(AHEAD), false},
	{"a new host, and an edit nobody pushed", "3.1 C D", "0.0 0 -", PLAN_MANUAL, PLAN_AUTO,
		PLAN_WAIT, BECAUSE(MANUAL), false},
	{"first contact: they differ", "0.0 0 A a", "0.0 0 B", PLAN_ACTIVE, PLAN_AUTO, PLAN_HOLD,
		BECAUSE(FIRST), false},
	{"a new host with files", "3.1 C C a", "0.0 0 B f", PLAN_ACTIVE, PLAN_AUTO, PLAN_HOLD,
		BECAUSE(FIRST), false},
	{"first contact: decided", "0.0 0 A", "0.0 0 B", PLAN_MANUAL, PLAN_KEEP_MINE, PLAN_PUBLISH,
		BECAUSE(WISH), true},

	{"shot with an edit", "1.0 A B a", "1.0 A C f", PLAN_ACTIVE, PLAN_AUTO, PLAN_PUBLISH,
		BECAUSE(FENCED), true},
	{"shot with an edit, and no change here", "1.0 A A a", "1.0 A C f", PLAN_ACTIVE, PLAN_AUTO,
		PLAN_PUBLISH, BECAUSE(FENCED), true},
	{"shot with a generation of its own", "1.1 B B a", "2.0 C C f", PLAN_ACTIVE, PLAN_AUTO,
		PLAN_PUBLISH, BECAUSE(FENCED), true},
	{"shot with a drift, a generation behind", "1.1 B B a", "1.0 A C f", PLAN_ACTIVE, PLAN_AUTO,
		PLAN_SEND, BECAUSE(FENCED), true},
	{"shot without a change", "1.1 B B a", "1.0 A A f", PLAN_ACTIVE, PLAN_AUTO, PLAN_SEND,
		BECAUSE(AHEAD), false},
	{"we were shot", "2.0 C C f", "1.1 B B a", PLAN_ACTIVE, PLAN_AUTO, PLAN_FETCH_PUBLISH,
		BECAUSE(FENCED), true},
	{"we were shot, and ahead", "2.0 C C f", "1.0 A A a", PLAN_ACTIVE, PLAN_AUTO,
		PLAN_FETCH_PUBLISH, BECAUSE(FENCED), true},
	{"we were shot, and push", "2.0 C C f", "1.0 A A a", PLAN_ACTIVE, PLAN_PUSH, PLAN_WAIT,
		BECAUSE(FENCED), false},
	{"both were shot", "1.1 B B f", "2.0 C C f", PLAN_ANY, PLAN_AUTO, PLAN_HOLD, BECAUSE(BOTH),
		false},
	{"shot, and active again", "1.1 B B", "2.0 C C fa", PLAN_ACTIVE, PLAN_AUTO, PLAN_HOLD,
		BECAUSE(BOTH), false},
	{"shot, and an edit here that nobody pushed", "1.0 A B", "2.0 C C f", PLAN_MANUAL,
		PLAN_AUTO, PLAN_HOLD, BECAUSE(BOTH), false},

	{"broken files are not sent", "1.0 A B au", "1.0 A A", PLAN_ACTIVE, PLAN_AUTO, PLAN_WAIT,
		BECAUSE(UNUSABLE), false},
	{"nor fetched", "1.0 A A", "1.0 A B au", PLAN_ACTIVE, PLAN_AUTO, PLAN_WAIT,
		BECAUSE(UNUSABLE_THERE), false},
	{"but repaired", "2.0 B B a", "1.0 A A u", PLAN_ACTIVE, PLAN_AUTO, PLAN_SEND,
		BECAUSE(AHEAD), false},
};

static void test_stories(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(stories); i++) {
		const struct story *s = &stories[i];
		bool me_fenced, peer_fenced;
		struct plan_side me = side_of(s->me, &me_fenced);
		struct plan_side peer = side_of(s->peer, &peer_fenced);
		struct plan p = plan_make(&me, &peer, s->writer, s->wish, peer_fenced, me_fenced);

		if (p.action != s->action || p.why != s->why || p.set_aside != s->set_aside)
			fail_msg("%s: %s (%s)%s", s->what, plan_action_text(p.action),
				plan_why_text(p.why), p.set_aside ? ", set aside" : "");
	}
}

/* Without the peer. */

static const struct story alone[] = {
	{"nothing", "1.0 A A a", "", PLAN_ACTIVE, PLAN_AUTO, PLAN_NOTHING, BECAUSE(IN_STEP), false},
	{"published", "1.0 A B a", "", PLAN_ACTIVE, PLAN_AUTO, PLAN_PUBLISH, BECAUSE(AHEAD), false},
	{"drift", "1.0 A B", "", PLAN_ACTIVE, PLAN_AUTO, PLAN_WAIT, BECAUSE(DRIFT_HERE), false},
	{"push holds to the rule", "1.0 A B", "", PLAN_ACTIVE, PLAN_PUSH, PLAN_WAIT,
		BECAUSE(DRIFT_HERE), false},
	{"from here", "1.0 A B", "", PLAN_ACTIVE, PLAN_PUSH_HERE, PLAN_PUBLISH, BECAUSE(WISH),
		false},
	{"by hand", "1.0 A B", "", PLAN_MANUAL, PLAN_AUTO, PLAN_WAIT, BECAUSE(MANUAL), false},
	{"by hand, pushed", "1.0 A B", "", PLAN_MANUAL, PLAN_PUSH, PLAN_PUBLISH, BECAUSE(WISH),
		false},
	{"any", "1.0 A B", "", PLAN_ANY, PLAN_AUTO, PLAN_PUBLISH, BECAUSE(AHEAD), false},
	{"broken", "1.0 A B u", "", PLAN_ANY, PLAN_AUTO, PLAN_WAIT, BECAUSE(UNUSABLE), false},
	{"gone", "1.0 A - a", "", PLAN_ACTIVE, PLAN_AUTO, PLAN_WAIT, BECAUSE(EMPTIED), false},
	{"gone, and pushed", "1.0 A - a", "", PLAN_ACTIVE, PLAN_PUSH, PLAN_PUBLISH, BECAUSE(WISH),
		false},
	{"before the first contact", "0.0 0 B a", "", PLAN_ACTIVE, PLAN_AUTO, PLAN_WAIT,
		BECAUSE(FIRST), false},
	{"pull needs the peer", "1.0 A A", "", PLAN_ANY, PLAN_PULL, PLAN_WAIT, BECAUSE(WISH),
		false},
	{"resolve as well", "1.0 A B", "", PLAN_ANY, PLAN_KEEP_MINE, PLAN_WAIT, BECAUSE(WISH),
		false},
};

static void test_alone(void **state)
{
	struct plan_side me = {.in_doubt = true};

	(void)state;
	assert_int_equal(plan_alone(&me, PLAN_ANY, PLAN_AUTO).why, PLAN_BECAUSE_IN_DOUBT);
	for (size_t i = 0; i < ARRAY_LEN(alone); i++) {
		const struct story *s = &alone[i];
		bool fenced;
		struct plan p;

		me = side_of(s->me, &fenced);
		p = plan_alone(&me, s->writer, s->wish);
		if (p.action != s->action || p.why != s->why || p.set_aside)
			fail_msg("%s: %s (%s)", s->what, plan_action_text(p.action),
				plan_why_text(p.why));
	}
}

static void test_texts(void **state)
{
	(void)state;
	for (int i = 0; i <= PLAN_WAIT; i++)
		assert_true(strlen(plan_action_text((enum plan_action)i)) > 3);
	for (int i = 0; i <= PLAN_BECAUSE_IN_DOUBT; i++)
		assert_true(strlen(plan_why_text((enum plan_why)i)) > 10);
	assert_string_equal(plan_action_text((enum plan_action)99), "?");
	assert_string_equal(plan_why_text((enum plan_why)99), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stories),
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
