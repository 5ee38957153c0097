/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The export table: what may be added, which names are taken, and ids that never come back. */
#include "exports.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { NAME_MAX_BYTES = 4096, MANY = 300 };

static struct exports t;

static int set_up(void **state)
{
	(void)state;
	t = (struct exports){0};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	exports_done(&t);
	return t.entries || t.foreign || t.count || t.last_id ? -1 : 0;
}

/* Returns the id. */
static uint32_t add(const char *name, const char *image)
{
	struct export_entry *e = NULL;

	assert_int_equal(exports_add(&t,
				 &(struct export_config){
					 .name = name, .image = image, .source = EXPORT_FROM_STATE},
				 &e, NULL),
		0);
	assert_string_equal(e->config.name, name);
	return e->id;
}

static void test_add(void **state)
{
	char name[] = "disk", image[] = "/srv/disk.img",
	     words[] = "gr\xc3\xb6\xc3\x9f"
		       "er";
	struct export_entry *e = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(exports_add(&t,
				 &(struct export_config){.name = name,
					 .image = image,
					 .description = words,
					 .readonly = true,
					 .source = EXPORT_FROM_CONFIG},
				 &e, &err),
		0);
	assert_int_equal(err.code, 0);
	name[0] = image[0] = words[0] = 'X'; /* they were copied */
	assert_int_equal(t.count, 1);
	assert_ptr_equal(e, &t.entries[0]);
	assert_string_equal(e->config.name, "disk");
	assert_string_equal(e->config.image, "/srv/disk.img");
	assert_string_equal(e->config.description,
		"gr\xc3\xb6\xc3\x9f"
		"er");
	assert_true(e->config.readonly);
	assert_false(e->config.is_default);
	assert_int_equal(e->config.source, EXPORT_FROM_CONFIG);
	assert_int_equal(e->id, 1);
	assert_int_equal(
		exports_add(&t, &(struct export_config){.name = "b", .image = "i"}, NULL, &err), 0);
	assert_null(t.entries[1].config.description);
	assert_false(t.entries[1].config.readonly);
	assert_int_equal(t.entries[1].config.source, EXPORT_FROM_OPTION);
	assert_int_equal(t.entries[1].id, 2);
}

static void refuse(const char *name, const char *description, int code, const char *says)
{
	struct export_entry *e = NULL;
	struct err err = {0};
	size_t count = t.count;
	uint32_t last = t.last_id;

	assert_int_equal(exports_add(&t,
				 &(struct export_config){.name = name,
					 .image = "image",
					 .description = description,
					 .source = EXPORT_FROM_STATE},
				 &e, &err),
		-code);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, says))
		fail_msg("'%s' does not say '%s'", err.text, says);
	assert_null(e);
	assert_int_equal(t.count, count);
	assert_int_equal(t.last_id, last);
}

/* The reason is not pushed out by the name. */
static void refuse_long(void)
{
	char name[600];

	memset(name, 'n', sizeof(name));
	name[599] = 0;
	add(name, "/a");
	refuse(name, NULL, EEXIST, "n': the name is already in use");
	name[0] = '\xff';
	refuse(name, NULL, EINVAL, "n' is not valid UTF-8");
}

static void test_duplicate(void **state)
{
	(void)state;
	add("disk", "/a");
	refuse("disk", NULL, EEXIST, "export 'disk': the name is already in use");
	refuse_long();
	add("DISK", "/a"); /* names are bytes; one image may be served twice */
	add("dis", "/a");
	exports_remove(&t, 1);
	assert_int_equal(add("disk", "/b"), 5);
}

static void test_bad_names(void **state)
{
	char name[NAME_MAX_BYTES + 2];

	(void)state;
	memset(name, 'n', sizeof(name));
	name[NAME_MAX_BYTES + 1] = 0;
	refuse("", NULL, EINVAL, "an export name must not be empty");
	refuse("\xff", NULL, EINVAL, "not valid UTF-8");
	refuse("cut off \xc3", NULL, EINVAL, "not valid UTF-8");
	refuse(name, NULL, EINVAL, "export name of 4097 bytes: at most 4096");
	name[NAME_MAX_BYTES] = 0;
	add(name, "/a");
	add("/srv/a file\nwith \xe2\x82\xac", "/a");
}

static void test_bad_descriptions(void **state)
{
	char text[NAME_MAX_BYTES + 2];
	struct export_entry *e;

	(void)state;
	memset(text, 'd', sizeof(text));
	text[NAME_MAX_BYTES + 1] = 0;
	refuse("a", text, EINVAL, "export 'a': description: 4097 bytes: at most 4096 are possible");
	refuse("a", "\xe2\x82", EINVAL, "export 'a': description: is not valid UTF-8");
	text[NAME_MAX_BYTES] = 0;
	assert_int_equal(
		exports_add(&t,
			&(struct export_config){.name = "a", .image = "i", .description = text}, &e,
			NULL),
		0);
	assert_string_equal(e->config.description, text);
	assert_int_equal(
		exports_add(&t,
			&(struct export_config){.name = "b", .image = "i", .description = ""}, &e,
			NULL),
		0);
	assert_string_equal(e->config.description, "");
}

/* What the state file has under a name of its own is not ours to shadow. */
/* The configuration and the command line win over what is kept in the state file. */
static void test_foreign_names_of_others(void **state)
{
	static const enum export_source sources[] = {EXPORT_FROM_CONFIG, EXPORT_FROM_OPTION};

	(void)state;
	t.foreign = json_pack("{s:{s:s}}", "vm1", "mode", "proxy");
	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		const struct export_config c = {.name = "vm1", .image = "/i", .source = sources[i]};
		struct export_entry *e;

		assert_int_equal(exports_add(&t, &c, &e, NULL), 0);
		exports_remove(&t, e->id);
	}
	assert_int_equal(
		exports_add(&t,
			&(struct export_config){
				.name = "vm1", .image = "/i", .source = EXPORT_FROM_SNAPSHOT},
			NULL, NULL),
		-EEXIST);
}

static void test_draining(void **state)
{
	struct export_entry *e;

	(void)state;
	add("a", "/a");
	e = exports_by_name(&t, "a");
	e->draining = true;
	exports_forget_next(e);
	assert_false(e->draining);
	e->draining = true;
	e->next = calloc(1, sizeof(*e->next));
	assert_int_equal(export_config_copy(e->next, &e->config), 0);
	exports_forget_next(e);
	assert_null(e->next);
	e->next = calloc(1, sizeof(*e->next));
	assert_int_equal(export_config_copy(e->next, &e->config), 0);
	exports_remove(&t, e->id); /* and frees it */
}

static void test_foreign_names(void **state)
{
	(void)state;
	t.foreign = json_pack("{s:{s:s}}", "vm1", "mode", "proxy");
	refuse("vm1", NULL, EEXIST, "export 'vm1': the name is already in use");
	assert_null(exports_by_name(&t, "vm1"));
	add("vm2", "/a");
	json_object_del(t.foreign, "vm1");
	add("vm1", "/a");
}

static void test_finding(void **state)
{
	(void)state;
	assert_null(exports_by_id(&t, 1));
	assert_null(exports_by_name(&t, "a"));
	assert_null(exports_by_image(&t, "/x"));
	add("a", "/x");
	add("b", "/y");
	add("c", "/y");
	assert_string_equal(exports_by_id(&t, 2)->config.name, "b");
	assert_int_equal(exports_by_name(&t, "c")->id, 3);
	assert_string_equal(exports_by_image(&t, "/y")->config.name, "b"); /* the first one */
	assert_null(exports_by_id(&t, 0));
	assert_null(exports_by_id(&t, 4));
	assert_null(exports_by_name(&t, "/x"));
	assert_null(exports_by_image(&t, "a"));
}

static void test_remove(void **state)
{
	(void)state;
	add("a", "/a");
	add("b", "/b");
	add("c", "/c");
	exports_remove(&t, 7);
	exports_remove(&t, 0);
	assert_int_equal(t.count, 3);
	exports_remove(&t, 2);
	assert_int_equal(t.count, 2);
	assert_null(exports_by_id(&t, 2));
	assert_null(exports_by_name(&t, "b"));
	assert_string_equal(exports_by_id(&t, 1)->config.image, "/a");
	assert_string_equal(exports_by_id(&t, 3)->config.image, "/c");
	exports_remove(&t, 2);
	assert_int_equal(t.count, 2);
	exports_remove(&t, 1);
	exports_remove(&t, 3);
	assert_int_equal(t.count, 0);
}

/* A client that comes late with an id must never meet another export. */
static void test_ids_are_never_reused(void **state)
{
	(void)state;
	assert_int_equal(add("a", "/a"), 1);
	assert_int_equal(add("b", "/b"), 2);
	exports_remove(&t, 2);
	assert_int_equal(add("b", "/b"), 3);
	exports_remove(&t, 1);
	exports_remove(&t, 3);
	assert_int_equal(add("a", "/a"), 4);
	assert_null(exports_by_id(&t, 1));
}

/* Every third is removed again while the table grows; order is by id. */
static void test_many(void **state)
{
	uint32_t before = 0;
	char name[16];

	(void)state;
	for (unsigned i = 1; i <= MANY; i++) {
		snprintf(name, sizeof(name), "e%u", i);
		assert_int_equal(add(name, name), i);
		if (i % 3 == 0)
			exports_remove(&t, i - 1);
	}
	assert_int_equal(t.count, MANY - MANY / 3);
	for (size_t i = 0; i < t.count; i++) {
		struct export_entry *e = &t.entries[i];

		assert_true(e->id > before && e->id % 3 != 2);
		before = e->id;
		snprintf(name, sizeof(name), "e%u", e->id);
		assert_string_equal(e->config.name, name);
		assert_ptr_equal(exports_by_id(&t, e->id), e);
		assert_ptr_equal(exports_by_name(&t, name), e);
	}
}

/* Proxies. */

static void check_refused(const struct export_config *spec, const char *says)
{
	struct err err = {0};
	size_t count = t.count;

	if (exports_add(&t, spec, NULL, &err) != -EINVAL || !strstr(err.text, says))
		fail_msg("'%s' does not say '%s'", err.text, says);
	assert_int_equal(t.count, count);
}

#define PROXY(...)                                                                                 \
	(&(struct export_config){.name = "p", .image = "/c", .kind = EXPORT_PROXY, __VA_ARGS__})

static void test_bad_proxies(void **state)
{
	char uri[5000] = "nbd://";

	(void)state;
	memset(uri + 6, 'h', sizeof(uri) - 7);
	check_refused(PROXY(.readonly = false), "a proxy needs an origin");
	check_refused(PROXY(.host = "h"), "a proxy needs an origin");
	check_refused(PROXY(.host = "h", .port = ""), "a proxy needs an origin");
	check_refused(PROXY(.host = "", .port = "1"), "a proxy needs an origin");
	check_refused(PROXY(.uri = "http://h/"), "must be nbd://");
	check_refused(PROXY(.uri = ""), "must be nbd://");
	check_refused(PROXY(.uri = uri), "less than 4096 bytes");
	check_refused(PROXY(.uri = "nbd://h", .host = "h", .port = "1"), "not both");
	check_refused(PROXY(.uri = "nbd://h", .exportname = "n"), "not both");
	check_refused(PROXY(.host = "h", .port = "1", .exportname = "\xff"), "not valid UTF-8");
	check_refused(PROXY(.uri = "nbd://h", .bitmap = "/c"), "the same file");
}

static void check_origin(const struct export_entry *e, const char *want)
{
	CLEANUP_FREE char *text = exports_origin_text(e);

	if (want)
		assert_string_equal(text, want);
	else
		assert_null(text);
}

static void test_proxy(void **state)
{
	struct export_entry *e;

	(void)state;
	assert_int_equal(exports_add(&t,
				 PROXY(.host = "h", .port = "1", .exportname = "n", .bitmap = "/b",
					 .control = "/s"),
				 &e, NULL),
		0);
	assert_int_equal(e->config.kind, EXPORT_PROXY);
	assert_string_equal(e->config.bitmap, "/b");
	assert_string_equal(e->config.control, "/s");
	check_origin(e, "h:1:n");
	assert_true(exports_same_origin(
		e, &(struct export_config){.host = "h", .port = "1", .exportname = "n"}));
	assert_false(exports_same_origin(e, &(struct export_config){.host = "h", .port = "1"}));
	assert_int_equal(
		exports_set_origin(e, &(struct export_config){.uri = "nbds://x/"}, NULL), 0);
	check_origin(e, "nbds://x/");
	assert_null(e->config.host);
	assert_int_equal(
		exports_set_origin(e, &(struct export_config){.host = "h"}, NULL), -EINVAL);
	check_origin(e, "nbds://x/");
	assert_true(exports_same_origin(e, &(struct export_config){.uri = "nbds://x/"}));
	assert_int_equal(
		exports_set_origin(e, &(struct export_config){.host = "::1", .port = "2"}, NULL),
		0);
	check_origin(e, "::1:2");
}

static void test_default_bitmap(void **state)
{
	struct export_entry *e;

	(void)state;
	assert_int_equal(exports_add(&t, PROXY(.uri = "nbd+unix:///n?socket=/s"), &e, NULL), 0);
	assert_string_equal(e->config.bitmap, "/c.bitmap");
	assert_null(e->config.control);
}

static void test_become_target(void **state)
{
	struct export_entry *e;

	(void)state;
	assert_int_equal(
		exports_add(&t, PROXY(.uri = "nbd://h", .source = EXPORT_FROM_STATE), &e, NULL), 0);
	e->copy = EXPORT_COPY_RUNNING;
	e->copy_rate = 7;
	exports_become_target(e);
	assert_int_equal(e->config.kind, EXPORT_TARGET);
	assert_string_equal(e->config.image, "/c");
	assert_int_equal(e->id, 1);
	assert_int_equal(e->config.source, EXPORT_FROM_STATE);
	assert_int_equal(e->copy, EXPORT_COPY_NONE);
	assert_true(!e->config.bitmap && !e->config.control && !e->config.uri && !e->copy_rate);
	check_origin(e, NULL);
}

/* Removing "by file" must not hit what was derived from it. */
static void test_snapshots_have_no_image(void **state)
{
	struct export_entry *e;

	(void)state;
	add("a", "/a");
	assert_int_equal(
		exports_add(&t, &(struct export_config){.name = "a@1", .image = "/a.1"}, &e, NULL),
		0);
	e->parent = 1;
	assert_null(exports_by_image(&t, "/a.1"));
	assert_ptr_equal(exports_by_name(&t, "a@1"), e);
}

static void test_kind_names(void **state)
{
	(void)state;
	assert_string_equal(export_config_mode(EXPORT_TARGET), "target");
	assert_string_equal(export_config_mode(EXPORT_COW), "cow-target");
	assert_string_equal(export_config_mode(EXPORT_PROXY), "proxy");
}

static void test_source_names(void **state)
{
	(void)state;
	assert_string_equal(exports_source_name(EXPORT_FROM_OPTION), "option");
	assert_string_equal(exports_source_name(EXPORT_FROM_CONFIG), "config");
	assert_string_equal(exports_source_name(EXPORT_FROM_STATE), "state");
	assert_string_equal(exports_source_name(EXPORT_FROM_SNAPSHOT), "snapshot");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_add),
		TEST(test_duplicate),
		TEST(test_bad_names),
		TEST(test_bad_descriptions),
		TEST(test_foreign_names),
		TEST(test_foreign_names_of_others),
		TEST(test_draining),
		TEST(test_finding),
		TEST(test_remove),
		TEST(test_ids_are_never_reused),
		TEST(test_many),
		TEST(test_bad_proxies),
		TEST(test_proxy),
		TEST(test_default_bitmap),
		TEST(test_become_target),
		TEST(test_snapshots_have_no_image),
		TEST(test_kind_names),
		TEST(test_source_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
