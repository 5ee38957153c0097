/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who may do what, as a table; and what a reboot becomes. */
#include "policy.h"

#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char name1[] = "n1", name2[] = "n2", name3[] = "n3", name_caller[] = "c", big1[] = "N1";
static char *of_n1[] = {name2}, *of_n2[] = {name1}, *victims[] = {big1};
static struct config_node n1 = {.name = name1, .shooters = {of_n1, 1}};
static struct config_node n2 = {.name = name2, .shooters = {of_n2, 1}};
static struct config_node n3 = {.name = name3};
static struct config_caller caller = {.name = name_caller, .victims = {victims, 1}};

enum { REFUSED = -1 };

static int decide(const struct policy_request *q, struct err *err)
{
	enum fence_goal goal;
	int r;

	*err = (struct err){0};
	r = policy_decide(q, &goal, err);
	if (r == 0)
		return (int)goal;
	assert_int_equal(r, -EPERM);
	assert_true(*err->text);
	assert_int_equal(strncmp(err->text, q->victim->name, strlen(q->victim->name)), 0);
	return REFUSED;
}

struct row {
	enum policy_by by;
	const struct config_node *self, *victim;
	int want[5]; /* of off, on, reboot, status, test */
};

#define ALL                                                                                        \
	{                                                                                          \
		FENCE_OFF, FENCE_ON, FENCE_OFF, FENCE_READ, FENCE_TEST                             \
	}
#define HAND                                                                                       \
	{                                                                                          \
		FENCE_OFF, FENCE_ON, FENCE_CYCLE, FENCE_READ, FENCE_TEST                           \
	}
#define OWN                                                                                        \
	{                                                                                          \
		REFUSED, FENCE_ON, REFUSED, FENCE_READ, FENCE_TEST                                 \
	}
#define LOOK                                                                                       \
	{                                                                                          \
		REFUSED, REFUSED, REFUSED, FENCE_READ, FENCE_TEST                                  \
	}
#define NONE                                                                                       \
	{                                                                                          \
		REFUSED, REFUSED, REFUSED, REFUSED, REFUSED                                        \
	}

static void test_table(void **state)
{
	const struct row rows[] = {
		{POLICY_BY_CLUSTER, &n2, &n1, ALL},
		{POLICY_BY_CLUSTER, &n1, &n2, ALL},
		{POLICY_BY_CLUSTER, &n3, &n1, LOOK},
		{POLICY_BY_CLUSTER, &n1, &n3, LOOK},
		{POLICY_BY_CLUSTER, &n1, &n1, OWN},
		{POLICY_BY_CLUSTER, NULL, &n1, LOOK},
		{POLICY_BY_HAND, &n2, &n1, HAND},
		{POLICY_BY_HAND, &n2, &n3, HAND},
		{POLICY_BY_HAND, NULL, &n3, HAND},
		{POLICY_BY_HAND, &n1, &n1, OWN},
		{POLICY_BY_DAEMON, &n1, &n1, OWN},
		{POLICY_BY_DAEMON, &n2, &n1, LOOK},
		{POLICY_BY_DAEMON, NULL, &n1, LOOK},
		{POLICY_BY_CALLER, NULL, &n1, ALL},
		{POLICY_BY_CALLER, NULL, &n2, NONE},
		{POLICY_BY_CALLER, &n1, &n1, OWN},
		{POLICY_BY_CALLER, &n2, &n1, ALL},
	};

	(void)state;
	caller.actions = CONFIG_ACT_OFF | CONFIG_ACT_ON | CONFIG_ACT_REBOOT | CONFIG_ACT_STATUS;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (int a = POLICY_OFF; a <= POLICY_TEST; a++) {
			struct policy_request q = {(enum policy_action)a, rows[i].by,
				rows[i].victim, rows[i].self, &caller, false};
			struct err err;
			int got = decide(&q, &err);

			if (got != rows[i].want[a])
				fail_msg("row %zu, %s: %d", i,
					policy_action_text((enum policy_action)a), got);
		}
	}
}

/* Each action alone: a caller may do that and nothing else. */
static void test_caller_actions(void **state)
{
	static const unsigned bits[] = {CONFIG_ACT_OFF, CONFIG_ACT_ON, CONFIG_ACT_REBOOT,
		CONFIG_ACT_STATUS, CONFIG_ACT_STATUS};
	struct err err;

	(void)state;
	for (unsigned given = 0; given < 16; given++) {
		caller.actions = given;
		for (int a = POLICY_OFF; a <= POLICY_TEST; a++) {
			struct policy_request q = {
				(enum policy_action)a, POLICY_BY_CALLER, &n1, NULL, &caller, false};

			assert_int_equal(decide(&q, &err) != REFUSED, (given & bits[a]) != 0);
		}
	}
}

static int reboot(int policy, enum policy_by by, bool confirmed)
{
	struct config_node victim = n1;
	struct policy_request q = {POLICY_REBOOT, by, &victim, &n2, &caller, confirmed};
	struct err err;

	caller.actions = CONFIG_ACT_REBOOT;
	victim.policy = policy;
	return decide(&q, &err);
}

static void test_reboot(void **state)
{
	(void)state;
	for (int by = POLICY_BY_CLUSTER; by <= POLICY_BY_CALLER; by++) {
		enum policy_by b = (enum policy_by)by;
		bool hand = b == POLICY_BY_HAND;

		assert_int_equal(reboot(CONFIG_OFF, b, true), hand ? FENCE_CYCLE : FENCE_OFF);
		assert_int_equal(reboot(CONFIG_CYCLE, b, false), FENCE_CYCLE);
		assert_int_equal(
			reboot(CONFIG_CYCLE_CONFIRMED, b, false), hand ? FENCE_CYCLE : FENCE_OFF);
		assert_int_equal(reboot(CONFIG_CYCLE_CONFIRMED, b, true), FENCE_CYCLE);
	}
}

static void test_on_confirmed(void **state)
{
	struct config_node victim = n1;
	struct policy_request q = {POLICY_ON, POLICY_BY_CLUSTER, &victim, &n2, NULL, false};
	struct err err;

	(void)state;
	victim.policy = CONFIG_CYCLE_CONFIRMED;
	assert_int_equal(decide(&q, &err), REFUSED);
	assert_non_null(strstr(err.text, "xnbd-stonith confirm"));
	q.confirmed = true;
	assert_int_equal(decide(&q, &err), FENCE_ON);
	q.confirmed = false;
	q.by = POLICY_BY_HAND;
	assert_int_equal(decide(&q, &err), FENCE_ON);
	q.by = POLICY_BY_DAEMON;
	q.self = &victim;
	assert_int_equal(decide(&q, &err), FENCE_ON);
}

static void test_texts(void **state)
{
	enum policy_action a;

	(void)state;
	assert_true(policy_action_parse("Reboot", &a));
	assert_int_equal(a, POLICY_REBOOT);
	assert_true(policy_action_parse("off", &a));
	assert_false(policy_action_parse("offf", &a));
	assert_false(policy_action_parse("", &a));
	assert_string_equal(policy_action_text(POLICY_TEST), "test");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_caller_actions),
		cmocka_unit_test(test_reboot),
		cmocka_unit_test(test_on_confirmed),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
