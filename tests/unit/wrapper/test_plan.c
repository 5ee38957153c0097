/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a reload would do, as lines: every kind of change, every way a key can have got its value,
 * and names that others have.
 */
#include "plans.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct peers peers_of(const char *rule)
{
	struct peers list = {0};

	assert_int_equal(peers_add(&list, rule, NULL), 0);
	return list;
}

/* Rows. */

static void test_nothing(void **state)
{
	(void)state;
	plans_expect("");
	assert_true(plan_is_empty(&plans.plan));
	plans_keep_plain("a");
	plans_keep((struct export_config){.name = "b", .threads = 3});
	plans_expect("");
	assert_true(plan_is_empty(&plans.plan));
	assert_int_equal(plan_count(&plans.plan, PLAN_UNCHANGED), 2);
}

static void test_order_of_the_file_does_not_matter(void **state)
{
	struct export_config swap;

	(void)state;
	plans_keep((struct export_config){.name = "a", .image = "/1"});
	plans_keep((struct export_config){.name = "b", .image = "/2"});
	swap = plans.after.exports[0];
	plans.after.exports[0] = plans.after.exports[1];
	plans.after.exports[1] = swap;
	plans_expect("");
}

static void test_added_and_removed(void **state)
{
	(void)state;
	plans_keep_plain("stays");
	plans_keep_plain("goes");
	plans.after.config.count--;
	plans_give(&plans.after, (struct export_config){.name = "new", .image = "/n"});
	plans_expect("removed goes\nadded new\n");
	assert_int_equal(plans_row("goes")->id, 2);
	assert_null(plans_row("goes")->to);
	assert_int_equal(plans_row("new")->id, 0);
	assert_string_equal(plans_row("new")->to->image, "/n");
	assert_int_equal(plans_row("new")->source, EXPORT_FROM_CONFIG);
	assert_false(plan_is_empty(&plans.plan));
}

/* Rename = one goes, one comes. */
static void test_renamed(void **state)
{
	(void)state;
	plans_keep_plain("old")->name = "new";
	plans_expect("removed old\nadded new\n");
}

/* One that was removed by hand comes back, for the file has it. */
static void test_removed_at_run_time(void **state)
{
	(void)state;
	plans_give(&plans.before, (struct export_config){.name = "a"});
	plans_give(&plans.after, (struct export_config){.name = "a"});
	plans_expect("added a\n");
}

/* Keys. */

static void test_live_keys(void **state)
{
	struct export_config *c = plans_keep_plain("a");

	(void)state;
	c->description = "d";
	c->serial = "s";
	c->is_default = true;
	c->max_clients = c->idle_timeout = c->limit_requests = c->limit_bandwidth = 5;
	c->allow = peers_of("192.0.2.0/24");
	c->deny = peers_of("192.0.2.1");
	c->readonly_for = peers_of("unix");
	c->exclusive = EXCLUSIVE_WRITER;
	plans_expect(
		"changed a: description, default, serial, max-clients, idle-timeout, limit-requests, "
		"limit-bandwidth, allow, deny, readonly-for, exclusive\n");
	assert_false(plans_row("a")->restart);
	plan_set_use(plans_row("a"), 3, 0, 0);
	assert_false(plan_is_blocked(plans_row("a")));
	peers_done(&c->allow);
	peers_done(&c->deny);
	peers_done(&c->readonly_for);
}

/* Every key of every mode: live, or its server is started again. */
static void test_each_key(void **state)
{
	static const struct export_config given = {.image = "/other",
		.description = "d",
		.serial = "s",
		.readonly = true,
		.is_default = true,
		.cow_dir = "/d",
		.cow_block = 65536,
		.bitmap = "/b",
		.control = "/c",
		.uri = "nbd://h/x",
		.origin_timeout = 1,
		.origin_wait = 1,
		.origin_connections = 1,
		.block_min = 512,
		.block_preferred = 4096,
		.block_max = 65536,
		.threads = 1,
		.max_clients = 1,
		.idle_timeout = 1,
		.limit_requests = 1,
		.limit_bandwidth = 1,
		.exclusive = EXCLUSIVE_WRITER};
	char want[256];

	for (size_t i = 0; i < export_keys.count; i++) {
		const struct key *k = &export_keys.keys[i];
		int kind = k->where & 1 << EXPORT_TARGET ? EXPORT_TARGET
			: k->where & 1 << EXPORT_COW     ? EXPORT_COW
							 : EXPORT_PROXY;
		struct export_config *c, plain = {.name = "a", .kind = kind};
		bool live = k->where & EXPORT_KEY_LIVE;
		bool is_text = k->type == KEY_TEXT || k->type == KEY_PATH;

		if (!key_is_given(k, &given))
			continue; /* mode and lists have tests of their own */
		if (kind == EXPORT_PROXY)
			plain.uri = "nbd://o/x";
		c = plans_keep(plain);
		memset((uint8_t *)c + k->offset, 0, is_text ? sizeof(char *) : 0);
		assert_int_equal(key_copy(k, c, &given), 0);
		snprintf(want, sizeof(want), "changed a: %s%s\n", k->name,
			live ? "" : "; its server is started again");
		plans_expect(want);
		assert_int_equal(plans_row("a")->restart, !live);
		if (is_text)
			free(*(char **)((uintptr_t)c + k->offset));
		plans_tear_down(state);
		plans_set_up(state);
	}
}

static void test_value_taken_away(void **state)
{
	struct export_config *c =
		plans_keep((struct export_config){.name = "a", .threads = 2, .description = "d"});

	(void)state;
	c->threads = 0;
	c->description = NULL;
	plans_expect("changed a: description, threads; its server is started again\n");
}

static void test_mode(void **state)
{
	struct export_config *c = plans_keep_plain("a");

	(void)state;
	c->kind = EXPORT_COW;
	c->cow_dir = "/d";
	plans_expect("changed a: mode, cow-dir; its server is started again\n");
}

static void test_target_becomes_proxy_and_back(void **state)
{
	struct export_config *c = plans_keep_plain("t"), merged;

	(void)state;
	*c = (struct export_config){.name = "t",
		.kind = EXPORT_PROXY,
		.image = "/c",
		.bitmap = "/c.bitmap",
		.uri = "nbd://h/x",
		.origin_wait = 5};
	c = plans_keep((struct export_config){.name = "p",
		.kind = EXPORT_PROXY,
		.image = "/p",
		.uri = "nbd://h/y",
		.bitmap = "/b"});
	*c = (struct export_config){.name = "p", .image = "/p"};
	plans_expect(
		"changed t: mode, image, origin, cache, bitmap, origin-wait; its server is started again\n"
		"changed p: mode, origin, bitmap; its server is started again\n");
	assert_int_equal(plan_merge(plans_row("t"), &plans.table.entries[0].config, &merged), 0);
	assert_int_equal(export_config_check(&merged, NULL, NULL), 0);
	assert_string_equal(merged.image, "/c");
	export_config_free(&merged);
	assert_int_equal(plan_merge(plans_row("p"), &plans.table.entries[1].config, &merged), 0);
	assert_int_equal(export_config_check(&merged, NULL, NULL), 0);
	assert_null(merged.uri);
	assert_null(merged.bitmap);
	assert_string_equal(merged.name, "p");
	export_config_free(&merged);
}

/* What was changed at run time. */

static const struct export_config proxy = {.name = "p",
	.kind = EXPORT_PROXY,
	.image = "/c",
	.bitmap = "/c.bitmap",
	.host = "h",
	.port = "1",
	.exportname = "x"};

static void test_switched_proxy_stays_switched(void **state)
{
	struct export_config *c = plans_keep(proxy), merged;

	(void)state;
	exports_become_target(&plans.table.entries[0]);
	plans_expect("");
	c->description = "d"; /* and its other changes are taken */
	c->origin_wait = 9;   /* but those of proxies do not concern it */
	plans_expect("changed p: description\n");
	assert_int_equal(plan_merge(plans_row("p"), &plans.table.entries[0].config, &merged), 0);
	assert_int_equal(merged.kind, EXPORT_TARGET);
	assert_string_equal(merged.description, "d");
	assert_int_equal(merged.origin_wait, 0);
	export_config_free(&merged);
	/* The file follows, as the log asked for. */
	*c = (struct export_config){.name = "p", .image = "/c"};
	plans_expect("");
	c->image = "/elsewhere";
	plans_expect("changed p: image; its server is started again\n");
}

static void test_another_origin_stays(void **state)
{
	struct export_config *c = plans_keep(proxy), merged;
	const struct export_config origin = {.uri = "nbd://other/x"};

	(void)state;
	assert_int_equal(exports_set_origin(&plans.table.entries[0], &origin, NULL), 0);
	plans_expect("");
	c->origin_wait = 9;
	plans_expect("changed p: origin-wait; its server is started again\n");
	/* The file gives another one: all of it counts. */
	c->port = "2";
	plans_expect(
		"changed p: origin, host, port, exportname, origin-wait; its server is started again\n");
	assert_int_equal(plan_merge(plans_row("p"), &plans.table.entries[0].config, &merged), 0);
	assert_int_equal(export_config_check(&merged, NULL, NULL), 0);
	assert_null(merged.uri);
	assert_string_equal(merged.port, "2");
	assert_string_equal(merged.exportname, "x");
	export_config_free(&merged);
	/* Or follows. */
	*c = (struct export_config){.name = "p",
		.kind = EXPORT_PROXY,
		.image = "/c",
		.bitmap = "/c.bitmap",
		.uri = "nbd://other/x"};
	plans_expect("");
}

static void test_usual_bitmap(void **state)
{
	struct export_config plain = proxy, *c, merged;

	(void)state;
	plain.bitmap = NULL;
	c = plans_keep(plain);
	plans_expect("");
	plans_drain(&plans.table.entries[0], NULL);
	plans_expect("kept p\n");
	exports_forget_next(&plans.table.entries[0]);
	c->image = "/new";
	plans_expect("changed p: cache; its server is started again\n");
	assert_int_equal(plan_merge(plans_row("p"), &plans.table.entries[0].config, &merged), 0);
	assert_string_equal(merged.bitmap, "/new.bitmap");
	export_config_free(&merged);
	c->bitmap = "/c.bitmap"; /* as it was, but given now */
	plans_expect("changed p: cache; its server is started again\n");
	assert_int_equal(plan_merge(plans_row("p"), &plans.table.entries[0].config, &merged), 0);
	assert_string_equal(merged.bitmap, "/c.bitmap");
	export_config_free(&merged);
}

static void test_merge_changes_nothing_else(void **state)
{
	struct export_config *c =
		plans_keep((struct export_config){.name = "a", .description = "d"});
	struct export_config merged;

	(void)state;
	c->threads = 7;
	plans_make();
	assert_int_equal(plan_merge(plans_row("a"), &plans.table.entries[0].config, &merged), 0);
	assert_int_equal(merged.threads, 7);
	assert_string_equal(merged.description, "d");
	assert_ptr_not_equal(merged.description, plans.table.entries[0].config.description);
	assert_int_equal(merged.source, EXPORT_FROM_CONFIG);
	export_config_free(&merged);
}

/* Other sources. */

static void test_other_sources_are_not_concerned(void **state)
{
	(void)state;
	plans_serve_from(EXPORT_FROM_OPTION, "/img");
	plans_serve_from(EXPORT_FROM_STATE, "kept");
	plans_keep_plain("a");
	plans_serve_from(EXPORT_FROM_SNAPSHOT, "a@1")->parent = 3;
	plans.after.config.count = 0;
	plans_expect("removed a\n");
	assert_int_equal(plans.plan.count, 3);
}

static void test_name_of_an_option(void **state)
{
	struct err err = {0};

	(void)state;
	plans_serve_from(EXPORT_FROM_OPTION, "/img");
	plans_give(&plans.after, (struct export_config){.name = "/img"});
	plans_give(&plans.after, (struct export_config){.name = "fine"});
	plans_make();
	assert_int_equal(plans.plan.conflict_count, 1);
	assert_int_equal(plan_check(&plans.plan, PLAN_FORCE, &err), -EINVAL);
	assert_string_equal(err.text, "export '/img': --imgfile has one of this name already");
}

static void test_name_of_a_snapshot(void **state)
{
	struct err err = {0};

	(void)state;
	plans_keep_plain("a");
	plans_serve_from(EXPORT_FROM_SNAPSHOT, "a@1")->parent = 1;
	plans_give(&plans.after, (struct export_config){.name = "a@1"});
	plans_make();
	assert_int_equal(plan_check(&plans.plan, PLAN_WAIT, &err), -EINVAL);
	assert_string_equal(err.text,
		"export 'a@1': a snapshot has this name; drop that first, or choose another");
}

static void test_name_of_the_state_file(void **state)
{
	struct export_config merged;

	(void)state;
	plans_serve_from(EXPORT_FROM_STATE, "a");
	plans_give(&plans.after, (struct export_config){.name = "a", .image = "/other"});
	plans_expect(
		"changed a: image; it is the configuration's now, the state file's is not served "
		"meanwhile; its server is started again\n");
	assert_int_equal(plans_row("a")->id, 1);
	plan_set_use(plans_row("a"), 1, 0, 0);
	assert_true(plan_is_blocked(plans_row("a")));
	plans.after.exports[0].image = "/i"; /* nobody notices */
	plans_expect(
		"changed a; it is the configuration's now, the state file's is not served meanwhile\n");
	plan_set_use(plans_row("a"), 1, 0, 0);
	assert_false(plan_is_blocked(plans_row("a")));
	assert_int_equal(plan_merge(plans_row("a"), &plans.table.entries[0].config, &merged), 0);
	assert_int_equal(merged.source, EXPORT_FROM_CONFIG);
	export_config_free(&merged);
}

static void keep_in_state(const char *name, const char *mode)
{
	plans.table.foreign = plans.table.foreign ? plans.table.foreign : json_object();
	json_object_set_new(plans.table.foreign, name,
		json_pack("{s:s, s:s}", "mode", mode, "image_path", "/s"));
}

static void test_name_kept_in_the_state_file(void **state)
{
	(void)state;
	plans_keep_plain("a");
	plans_keep_plain("b");
	plans.after.config.count = 0;
	keep_in_state("a", "target");
	keep_in_state("b", "unheard-of");
	keep_in_state("c", "unheard-of");
	plans_give(&plans.after, (struct export_config){.name = "c"});
	plans_expect("removed a; the one of this name in the state file takes its place\n"
		     "removed b\n"
		     "added c; what the state file has of this name is not served meanwhile\n");
}

/* The wrapper. */

static void test_wrapper_keys(void **state)
{
	char place[] = "*:1", *listen[] = {place};
	struct wrapper_config *w = &plans.after.config.wrapper;

	(void)state;
	plans_keep_plain("a");
	w->max_clients = 7;
	w->engine = 2;
	w->listen = (struct key_texts){listen, 1};
	plans_expect("changed wrapper: listen; at the next start\n"
		     "changed wrapper: max-clients\n"
		     "changed wrapper: engine; for servers started from now on\n");
	assert_false(plan_is_empty(&plans.plan));
	assert_int_equal(plans.plan.wrapper_key_count, 3);
}

static void test_readonly_of_the_wrapper(void **state)
{
	(void)state;
	plans_keep_plain("a");
	plans_keep((struct export_config){.name = "r", .readonly = true});
	plans_serve_from(EXPORT_FROM_STATE, "s");
	plans.after.options.readonly = plans.after.config.wrapper.readonly = true;
	plans_expect("changed wrapper: readonly\n"
		     "changed a: readonly of the wrapper; its server is started again\n"
		     "changed s: readonly of the wrapper; its server is started again\n");
	plan_set_use(plans_row("s"), 1, 0, 0);
	assert_true(plan_is_blocked(plans_row("s")));
}

static void test_cow_of_the_wrapper(void **state)
{
	(void)state;
	plans_keep_plain("a");
	plans_keep((struct export_config){.name = "c", .kind = EXPORT_COW});
	plans_keep((struct export_config){.name = "r", .readonly = true});
	plans_keep(proxy);
	plans.after.options.cow = true;
	plans_expect("changed a: cow of the wrapper; its server is started again\n");
}

/* Given on the command line too: nothing changes. */
static void test_option_of_the_command_line_wins(void **state)
{
	(void)state;
	plans_keep_plain("a");
	plans.before.options.readonly = plans.after.options.readonly = true;
	plans.after.config.wrapper.readonly = true;
	plans_expect("changed wrapper: readonly\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, plans_set_up, plans_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_nothing),
		TEST(test_order_of_the_file_does_not_matter),
		TEST(test_added_and_removed),
		TEST(test_renamed),
		TEST(test_removed_at_run_time),
		TEST(test_live_keys),
		TEST(test_each_key),
		TEST(test_value_taken_away),
		TEST(test_mode),
		TEST(test_target_becomes_proxy_and_back),
		TEST(test_switched_proxy_stays_switched),
		TEST(test_another_origin_stays),
		TEST(test_usual_bitmap),
		TEST(test_merge_changes_nothing_else),
		TEST(test_other_sources_are_not_concerned),
		TEST(test_name_of_an_option),
		TEST(test_name_of_a_snapshot),
		TEST(test_name_of_the_state_file),
		TEST(test_name_kept_in_the_state_file),
		TEST(test_wrapper_keys),
		TEST(test_readonly_of_the_wrapper),
		TEST(test_cow_of_the_wrapper),
		TEST(test_option_of_the_command_line_wins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
