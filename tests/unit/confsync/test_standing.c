/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `status` makes of what is known, and its exit status: pure, so each case is a row. */
#include "standing.h"

#include "command.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct config_set set = {.name = (char[]){"web"}};

/* In step: generation 3 on both, files as they were agreed on, the active node is nobody. */
static struct standing_facts good(void)
{
	struct standing_facts f = {.peer_name = "n2", .writer = PLAN_MANUAL, .has_peer = true};

	f.me = (struct plan_side){.number = 3, .vector = {.at = {{"n1", 2}, {"n2", 1}}}};
	memset(f.me.digest, 7, MANIFEST_HASH);
	memset(f.me.live, 7, MANIFEST_HASH);
	f.peer = (struct state_peer){.side = f.me, .time = 1000, .reached = true};
	return f;
}

static enum standing_kind judge(const struct standing_facts *f, struct standing *s)
{
	*s = (struct standing){.set = &set};
	standing_judge(f, s);
	return s->kind;
}

static void edit(struct plan_side *side, int content)
{
	memset(side->live, content, MANIFEST_HASH);
}

/* A generation that follows. */
static void step(struct plan_side *side, int which, int content)
{
	side->number++;
	side->vector.at[which].count++;
	memset(side->digest, content, MANIFEST_HASH);
	memset(side->live, content, MANIFEST_HASH);
}

static void test_in_step(void **state)
{
	struct standing_facts f = good();
	struct standing s;

	(void)state;
	assert_int_equal(judge(&f, &s), STANDING_IN_STEP);
	assert_string_equal(s.text, "");
	assert_false(s.edited);
	assert_int_equal(standing_exit(s.kind), COMMAND_DONE);
	f.me.number = 9; /* equal files are in step, whatever the numbers are */
	f.me.vector.at[0].count = 8;
	assert_int_equal(judge(&f, &s), STANDING_IN_STEP);
}

static void test_pending(void **state)
{
	struct standing_facts f = good();
	struct standing s;

	(void)state;
	edit(&f.me, 8);
	assert_int_equal(judge(&f, &s), STANDING_PENDING);
	assert_true(s.edited);
	assert_non_null(strstr(s.text, "push"));
	f.writer = PLAN_ANY;
	assert_int_equal(judge(&f, &s), STANDING_PENDING);
	f = good();
	step(&f.me, 0, 9);
	assert_int_equal(judge(&f, &s), STANDING_PENDING);
	f.has_peer = false;
	assert_int_equal(judge(&f, &s), STANDING_PENDING);
	f.me = (struct plan_side){.number = 0};
	assert_int_equal(judge(&f, &s), STANDING_PENDING);
	assert_non_null(strstr(s.text, "never synchronised with n2"));
	assert_int_equal(standing_exit(s.kind), COMMAND_PENDING);
}

static void test_behind(void **state)
{
	struct standing_facts f = good();
	struct standing s;

	(void)state;
	step(&f.peer.side, 1, 9);
	assert_int_equal(judge(&f, &s), STANDING_BEHIND);
	f = good();
	edit(&f.peer.side, 9); /* which waits for push there, or pull here */
	assert_int_equal(judge(&f, &s), STANDING_BEHIND);
	assert_non_null(strstr(s.text, "pull"));
	assert_int_equal(standing_exit(s.kind), COMMAND_BEHIND);
}

static void test_drift(void **state)
{
	struct standing_facts f = good();
	struct standing s;

	(void)state;
	f.writer = PLAN_ACTIVE;
	edit(&f.me, 8);
	assert_int_equal(judge(&f, &s), STANDING_DRIFT);
	f.me.active = true;
	assert_int_equal(judge(&f, &s), STANDING_PENDING);
	f = good();
	f.writer = PLAN_ACTIVE;
	edit(&f.peer.side, 8);
	assert_int_equal(judge(&f, &s), STANDING_DRIFT);
	assert_int_equal(standing_exit(s.kind), COMMAND_HELD);
}

static void test_held(void **state)
{
	struct standing_facts f = good();
	struct standing s;

	(void)state;
	step(&f.me, 0, 8);
	step(&f.peer.side, 1, 9);
	assert_int_equal(judge(&f, &s), STANDING_HELD);
	assert_int_equal(standing_exit(s.kind), COMMAND_HELD);
	f.peer_fenced = true; /* what it changed loses */
	assert_int_equal(judge(&f, &s), STANDING_PENDING);
	f = good();
	f.has_trouble = true;
	f.trouble = (struct state_trouble){.held = true, .why = PLAN_BECAUSE_BOTH, .since = 77};
	assert_int_equal(judge(&f, &s), STANDING_HELD);
	assert_int_equal(s.since, 77);
	assert_string_equal(s.text, plan_why_text(PLAN_BECAUSE_BOTH));
}

/* All files are gone: nothing goes on before somebody has looked. */
static void test_emptied(void **state)
{
	struct standing_facts f = good();
	struct standing s;

	(void)state;
	f.writer = PLAN_ANY;
	edit(&f.me, 8);
	f.me.empty = true;
	assert_int_equal(judge(&f, &s), STANDING_HELD);
	assert_int_equal(standing_exit(s.kind), COMMAND_HELD);
	assert_non_null(strstr(s.text, "`push` if that is meant"));
	f.has_peer = false;
	assert_int_equal(judge(&f, &s), STANDING_HELD);
	f = good();
	f.writer = PLAN_ANY;
	edit(&f.peer.side, 8);
	f.peer.side.empty = true;
	assert_int_equal(judge(&f, &s), STANDING_HELD);
	assert_non_null(strstr(s.text, "on the peer"));
}

/* Since when it waits is told only if it is the same thing that waits. */
static void test_since(void **state)
{
	struct standing_facts f = good();
	struct standing s;

	(void)state;
	edit(&f.me, 8);
	f.has_trouble = true;
	f.trouble = (struct state_trouble){.why = PLAN_BECAUSE_MANUAL, .since = 77};
	assert_int_equal(judge(&f, &s), STANDING_PENDING);
	assert_int_equal(s.since, 77);
	f.trouble.why = PLAN_BECAUSE_DRIFT_HERE;
	judge(&f, &s);
	assert_int_equal(s.since, 0);
}

/* What is graver comes first; each fact is added to those before. */
static void test_order(void **state)
{
	struct standing_facts f = good();
	struct standing s;

	(void)state;
	f.has_trouble = true;
	f.trouble = (struct state_trouble){.failed = true, .text = "one\ntwo\x1b\n"};
	assert_int_equal(judge(&f, &s), STANDING_REFUSED);
	assert_string_equal(s.text, "one|two\\x1b");
	f.fault = "/etc/x: unreadable";
	f.fault_count = 3;
	assert_int_equal(judge(&f, &s), STANDING_REFUSED);
	assert_string_equal(s.text, "/etc/x: unreadable (and 2 more: xnbd-confsync check)");
	f.frozen = true;
	assert_int_equal(judge(&f, &s), STANDING_FROZEN);
	f.phase = APPLY_PREPARED;
	assert_int_equal(judge(&f, &s), STANDING_IN_DOUBT);
	f.busy = true;
	assert_int_equal(judge(&f, &s), STANDING_PENDING);
	f.failure = "broken";
	assert_int_equal(judge(&f, &s), STANDING_UNKNOWN);
	assert_int_equal(standing_exit(s.kind), COMMAND_FAILED);
	f.local = true;
	assert_int_equal(judge(&f, &s), STANDING_LOCAL);
}

/* What the peer says now is believed before what it said last. */
static void test_asked(void **state)
{
	struct plan plan = {.action = PLAN_FETCH, .why = PLAN_BECAUSE_BEHIND};
	struct standing_facts f = good();
	struct standing s;

	(void)state;
	f.asked = &plan;
	assert_int_equal(judge(&f, &s), STANDING_BEHIND);
	plan = (struct plan){.action = PLAN_SETTLE, .why = PLAN_BECAUSE_IN_DOUBT};
	assert_int_equal(judge(&f, &s), STANDING_IN_DOUBT);
	plan = (struct plan){.action = PLAN_WAIT, .why = PLAN_BECAUSE_TWO_ACTIVE};
	assert_int_equal(judge(&f, &s), STANDING_HELD);
	plan.why = PLAN_BECAUSE_UNUSABLE_THERE;
	assert_int_equal(judge(&f, &s), STANDING_REFUSED);
}

static void test_line(void **state)
{
	struct standing s = {.set = &set, .kind = STANDING_IN_STEP, .number = 12};
	char line[256], small[16];

	(void)state;
	memset(s.digest, 0x3f, MANIFEST_HASH);
	standing_line(&s, "n2", line, sizeof(line));
	assert_string_equal(line, "web: in step, generation 12 (3f3f3f3f), n2 never seen");
	s.has_peer = true;
	s.peer = (struct state_peer){.time = 1, .text = "n2: unreachable"};
	standing_line(&s, "n2", line, sizeof(line));
	assert_non_null(strstr(line, "n2 last seen 19"));
	assert_non_null(strstr(line, "(unreachable)"));
	standing_line(&s, "n2", small, sizeof(small));
	assert_string_equal(small, "web: in step, g");
}

static void test_worst(void **state)
{
	static const int order[] = {
		COMMAND_DONE, COMMAND_PENDING, COMMAND_BEHIND, COMMAND_FAILED, COMMAND_HELD};

	(void)state;
	for (size_t a = 0; a < ARRAY_LEN(order); a++) {
		for (size_t b = 0; b < ARRAY_LEN(order); b++)
			assert_int_equal(command_worse(order[a], order[b]), order[MAX_OF(a, b)]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_step),
		cmocka_unit_test(test_pending),
		cmocka_unit_test(test_behind),
		cmocka_unit_test(test_drift),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_emptied),
		cmocka_unit_test(test_since),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_asked),
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_worst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
