/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Plans for exports that are in use, have another size, or drain already; and plans for programs.
 */
#include "plans.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Use. */

static void three_in_use(void)
{
	plans_keep_plain("live")->description = "d";
	plans_keep_plain("restart")->threads = 3;
	plans_keep_plain("goes");
	plans.after.config.count--;
	plans_make();
	plan_set_use(plans_row("live"), 9, 0, 0);
	plan_set_use(plans_row("restart"), 1, 0, 0);
	plan_set_use(plans_row("goes"), 2, 0, 0);
}

static void test_in_use(void **state)
{
	struct err err = {0};

	(void)state;
	three_in_use();
	assert_int_equal(plan_check(&plans.plan, PLAN_REFUSE, &err), -EBUSY);
	assert_string_equal(err.text,
		"in use: 'restart' (1 client), 'goes' (2 clients); nothing was changed "
		"(--force ends clients, --when-idle waits for them)");
	assert_int_equal(plan_check(&plans.plan, PLAN_FORCE, &err), 0);
	assert_int_equal(plan_check(&plans.plan, PLAN_WAIT, &err), 0);
	plans_expect_way(PLAN_REFUSE,
		"changed live: description\n"
		"changed restart: threads; its server is started again, it has 1 client\n"
		"removed goes, it has 2 clients\n");
	plans_expect_way(PLAN_FORCE,
		"changed live: description\n"
		"changed restart: threads; its server is started again, its 1 client is ended\n"
		"removed goes, its 2 clients are ended\n");
	plans_expect_way(PLAN_WAIT,
		"changed live: description\n"
		"changed restart: threads; its server is started again when its 1 client has left\n"
		"removed goes when its 2 clients have left\n");
}

static void test_not_in_use(void **state)
{
	struct err err = {0};

	(void)state;
	three_in_use();
	plan_set_use(plans_row("restart"), 0, 0, 0);
	plan_set_use(plans_row("goes"), 0, 0, 0);
	assert_int_equal(plan_check(&plans.plan, PLAN_REFUSE, &err), 0);
}

static void test_many_in_use(void **state)
{
	static char names[8][300];
	struct err err = {0};

	(void)state;
	for (int i = 0; i < 8; i++) {
		memset(names[i], 'a' + i, sizeof(names[i]) - 1);
		plans_serve_from(EXPORT_FROM_CONFIG, names[i]);
	}
	plans_make();
	for (int i = 0; i < 8; i++)
		plan_set_use(plans_row(names[i]), 1, 0, 0);
	assert_int_equal(plan_check(&plans.plan, PLAN_REFUSE, &err), -EBUSY);
	assert_non_null(strstr(err.text, "(1 client) and 4 more; nothing was changed (--force"));
}

static void test_sizes(void **state)
{
	(void)state;
	plans_keep_plain("same");
	plans_keep_plain("grown");
	plans_keep_plain("shrunk");
	plans_keep_plain("not-asked");
	plans_keep_plain("both")->description = "d";
	plans_keep_plain("restarted")->threads = 2;
	plans_make();
	plan_set_use(plans_row("same"), 1, 4096, 4096);
	plan_set_use(plans_row("grown"), 1, 4096, 8192);
	plan_set_use(plans_row("shrunk"), 1, 8192, 4096);
	plan_set_use(plans_row("not-asked"), 1, 8192, 0);
	plan_set_use(plans_row("both"), 1, 1, 2);
	plan_set_use(plans_row("restarted"), 0, 1, 2);
	assert_int_equal(plan_count(&plans.plan, PLAN_RESIZED), 2);
	plans_expect_way(PLAN_REFUSE,
		"resized grown: 4096 -> 8192 bytes\n"
		"resized shrunk: 8192 -> 4096 bytes, not done: it has become shorter, which needs --force\n"
		"changed both: description; 1 -> 2 bytes\n"
		"changed restarted: threads; its server is started again\n");
	plans_expect_way(PLAN_FORCE,
		"resized grown: 4096 -> 8192 bytes\n"
		"resized shrunk: 8192 -> 4096 bytes\n"
		"changed both: description; 1 -> 2 bytes\n"
		"changed restarted: threads; its server is started again\n");
}

/* What drains already. */

static void test_removal_that_waits(void **state)
{
	struct err err = {0};

	(void)state;
	plans_drain(plans_serve_from(EXPORT_FROM_CONFIG, "a"), NULL);
	plans_make();
	plan_set_use(plans_row("a"), 2, 0, 0);
	plans_expect_way(PLAN_REFUSE, "removed a when its 2 clients have left\n");
	plans_expect_way(PLAN_FORCE, "removed a, its 2 clients are ended\n");
	assert_int_equal(plan_check(&plans.plan, PLAN_REFUSE, &err), 0);
}

static void test_removal_is_taken_back(void **state)
{
	struct export_config *c;

	(void)state;
	plans_drain(plans_serve_from(EXPORT_FROM_CONFIG, "a"), NULL);
	c = plans_give(&plans.after, (struct export_config){.name = "a"});
	plans_expect("kept a\n");
	assert_true(plans_row("a")->revived);
	c->threads = 2;
	plans_expect("changed a: threads; its server is started again\n");
	assert_true(plans_row("a")->revived);
	plan_set_use(plans_row("a"), 1, 0, 0);
	assert_true(plan_is_blocked(plans_row("a")));
}

static void test_change_that_waits(void **state)
{
	struct export_config *c = plans_keep_plain("a");
	struct err err = {0};

	(void)state;
	c->threads = 2;
	plans.before.exports[0].threads = 2; /* this file was read already */
	plans_drain(&plans.table.entries[0], c);
	plans_make();
	plan_set_use(plans_row("a"), 1, 0, 0);
	plans_expect_way(PLAN_REFUSE,
		"changed a: threads; its server is started again when its 1 client has left\n");
	assert_true(plans_row("a")->waiting);
	assert_false(plans_row("a")->revived);
	assert_int_equal(plan_check(&plans.plan, PLAN_REFUSE, &err), 0);

	c->threads = 3; /* something else now */
	plans_make();
	plan_set_use(plans_row("a"), 1, 0, 0);
	assert_true(plans_row("a")->revived);
	assert_int_equal(plan_check(&plans.plan, PLAN_REFUSE, &err), -EBUSY);

	c->threads = 0; /* what is served */
	plans_expect("kept a\n");

	c->description = "d"; /* and something that need not wait */
	plans_expect("changed a: description\n");
	assert_true(plans_row("a")->revived);
}

static void test_change_that_waits_and_goes(void **state)
{
	struct err err = {0};

	(void)state;
	plans_keep_plain("a");
	plans_drain(&plans.table.entries[0], &plans.before.exports[0]);
	plans.after.config.count = 0;
	plans_make();
	plan_set_use(plans_row("a"), 1, 0, 0);
	assert_false(plans_row("a")->waiting);
	assert_int_equal(plan_check(&plans.plan, PLAN_REFUSE, &err), -EBUSY);
}

/* Removed by hand when its clients have left: none of the file's business. */
static void test_other_source_that_drains(void **state)
{
	struct export_entry *e = plans_serve_from(EXPORT_FROM_STATE, "s");

	(void)state;
	plans_drain(e, NULL);
	plans_expect("");
	plans.after.options.readonly = true;
	plans_make();
	plan_set_use(plans_row("s"), 1, 0, 0);
	assert_false(plan_is_blocked(plans_row("s")));
}

/* For programs. */

static void test_json(void **state)
{
	CLEANUP_FREE char *text = NULL;
	json_t *all;

	(void)state;
	three_in_use();
	plan_set_use(plans_row("live"), 0, 5, 6);
	plans.after.config.wrapper.idle_timeout = 8;
	plan_done(&plans.plan);
	plans_make();
	plan_set_use(plans_row("live"), 0, 5, 6);
	plan_set_use(plans_row("goes"), 2, 0, 0);
	all = plan_describe(&plans.plan, PLAN_WAIT);
	text = json_dumps(all, JSON_COMPACT);
	json_decref(all);
	assert_string_equal(text,
		"{\"wrapper\":[{\"key\":\"idle-timeout\",\"live\":true,\"text\":\"changed wrapper: idle-timeout\"}],"
		"\"exports\":["
		"{\"name\":\"live\",\"change\":\"changed\",\"keys\":[\"description\"],\"restart\":false,"
		"\"waits\":false,\"clients\":0,\"text\":\"changed live: description; 5 -> 6 bytes\",\"old\":5,\"size\":6},"
		"{\"name\":\"restart\",\"change\":\"changed\",\"keys\":[\"threads\"],\"restart\":true,"
		"\"waits\":false,\"clients\":0,\"text\":\"changed restart: threads; its server is started again\"},"
		"{\"name\":\"goes\",\"change\":\"removed\",\"keys\":[],\"restart\":false,\"waits\":true,"
		"\"clients\":2,\"text\":\"removed goes when its 2 clients have left\"}],\"unchanged\":0}");
}

/* Names of files may be any bytes. */
static void test_name_that_is_no_text(void **state)
{
	json_t *all;

	(void)state;
	plans_serve_from(EXPORT_FROM_CONFIG, "bad");
	plans_make();
	plans.plan.rows[0].name[0] = '\xff';
	all = plan_describe(&plans.plan, PLAN_REFUSE);
	assert_non_null(all);
	json_decref(all);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, plans_set_up, plans_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_in_use),
		TEST(test_not_in_use),
		TEST(test_many_in_use),
		TEST(test_sizes),
		TEST(test_removal_that_waits),
		TEST(test_removal_is_taken_back),
		TEST(test_change_that_waits),
		TEST(test_change_that_waits_and_goes),
		TEST(test_other_source_that_drains),
		TEST(test_json),
		TEST(test_name_that_is_no_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
