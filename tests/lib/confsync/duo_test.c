/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See duo_test.h. */
#include "duo_test.h"

#include "need.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

struct duo duo;
const struct sync_order duo_plain = {.wish = PLAN_AUTO};

int duo_set_up(void **state)
{
	(void)state;
	if (geteuid() != 0)
		return 0;
	duo_init(&duo, DUO_KEYS);
	return duo_shell(&duo, 1, "echo one >a; mkdir sub; echo two >sub/b; echo gone >c");
}

int duo_tear_down(void **state)
{
	(void)state;
	if (geteuid() == 0)
		duo_done(&duo);
	return 0;
}

struct sync_result duo_good(struct sync_result r, enum plan_action action)
{
	if (r.code != 0 || r.plan.action != action)
		print_error("%d %s, plan %s: %s\n", r.code, r.err.text,
			plan_action_text(r.plan.action), plan_why_text(r.plan.why));
	assert_int_equal(r.code, 0);
	assert_int_equal(r.plan.action, action);
	return r;
}

void duo_in_step(int node)
{
	duo_good(duo_sync(&duo, node, &duo_plain, DUO_NEVER), PLAN_NOTHING);
	assert_true(duo_alike(&duo));
}

void duo_start(void)
{
	struct sync_result r;

	need_root();
	r = duo_good(duo_sync(&duo, 1, &duo_plain, DUO_NEVER), PLAN_PUBLISH);
	assert_int_equal(r.number, 1);
	duo_in_step(2);
}
