/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_allows(): the fence around what a peer may write and what a scan finds. */
#include "config.h"

#include "check.h"
#include "confkit.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* PATH is relative to the folder if it does not begin with '/'. */
static bool allows(const char *set, const char *path)
{
	char whole[512];

	snprintf(whole, sizeof(whole), "%s%s%s", *path == '/' ? "" : kit.temp.folder,
		strchr("/", *path) ? "" : "/", path);
	return config_allows(&kit.config, config_set(&kit.config, set), whole);
}

#define HEAD CONFKIT_GENERAL CONFKIT_PAIR

static void test_patterns(void **state)
{
	static const char *const good_paths[] = {"/etc/x", "/etc/tree", "/etc/tree/a",
		"/etc/tree/a/b", "/etc/tree/.hidden", "/etc/d/a.conf", "/etc/star*",
		"/etc/star*/x"};
	static const char *const bad_paths[] = {"/etc", "/", "/etc/y", "/etc/xx", "/etc/trees",
		"/etc/d/.a.conf", "/etc/d/a.conf~", "/etc/d/a.txt", "/etc/tree/a.orig",
		"/etc/tree/sub.orig/a", "/etc/tree/not/here", "/etc/tree/not", "/etc/starx",
		"/etc/tree/../shadow", "/etc/tree//a", "/etc/tree/", "etc/x", "", "/etc/tree/./a",
		"/etc/tree/.a.swp", "/etc/tree/.xnbd-confsync.1.new",
		"/etc/tree/.xnbd-confsync.1.new/a", "/etc/tree/mine/a", "/etc/tree/mine"};

	(void)state;
	kit_good(HEAD
		"set 's' { paths = {'/etc/x', '/etc/tree/', '/etc/d/*.conf', '/etc/star\\\\*'}\n"
		"exclude = {'*.orig', '/etc/tree/not'} }\n"
		"set 'mine' { kind = 'local' paths = {'/etc/tree/mine'} exclude = {'shared'} }\n");
	for (size_t i = 0; i < ARRAY_LEN(good_paths); i++) {
		if (!allows("s", good_paths[i]))
			fail_msg("%s: not allowed", good_paths[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad_paths); i++) {
		if (allows("s", bad_paths[i]))
			fail_msg("%s: allowed", bad_paths[i]);
	}
	assert_true(allows("s", "/etc/tree/mine/shared"));
	assert_false(allows("mine", "/etc/tree/mine/a"));
}

/* Files of our own, and those that would become so at the next start. */
static void test_own_files(void **state)
{
	static const char text[] =
		"confsync { self = 'a' state-directory = '@/state' key-file = '@/key'\n"
		"fence-log = '@/audit' follow-peer = %s }\n" CONFKIT_PAIR
		"include(\"more/*.conf\")\ninclude(\"one.conf\")\nset 's' { paths = {'@/'} }\n";
	static const char *const own[] = {
		"confsync.conf", "key", "one.conf", "more/a.conf", "more/later.conf"};
	char all[2048];

	(void)state;
	CHECK(mkdir(temp_path(&kit.temp, "more"), 0755) == 0);
	temp_file(&kit.temp, "more/a.conf", "");
	temp_file(&kit.temp, "one.conf", "set 'one' { paths = {'/one'} }\n");
	for (int follow = 0; follow < 2; follow++) {
		snprintf(all, sizeof(all), text, follow ? "true" : "false");
		kit_good(all);
		for (size_t i = 0; i < ARRAY_LEN(own); i++)
			assert_int_equal(allows("s", own[i]), follow);
		assert_true(allows("s", "other"));
		assert_true(allows("s", "more/a.txt"));
		/* A folder above one of our own: its mode and owner stay ours. */
		assert_int_equal(allows("s", "more"), follow);
		assert_false(allows("s", ""));
		assert_true(allows("s", "states"));
		assert_false(allows("s", "state"));
		assert_false(allows("s", "state/s/generation"));
		assert_false(allows("s", "audit"));
	}
}

/* By the name without links as well: scans go by that. */
static void test_own_by_link(void **state)
{
	char path[600], link[512];
	struct conf files;
	struct config c;

	(void)state;
	CHECK(mkdir(temp_path(&kit.temp, "real"), 0755) == 0);
	CHECK(mkdir(temp_path(&kit.temp, "real/d"), 0755) == 0);
	snprintf(link, sizeof(link), "%s", temp_path(&kit.temp, "link"));
	CHECK(symlink("real", link) == 0);
	temp_file(&kit.temp, "real/c.conf",
		"confsync { self = 'a' key-file = '/none/key' }\n" CONFKIT_PAIR
		"include(\"d/*.conf\")\nset 's' { paths = {'/**'} }\n");
	snprintf(path, sizeof(path), "%s/c.conf", link);
	assert_int_equal(config_read(path, &c, &files), 0);
	kit.config = c;
	kit.files = files;
	assert_false(allows("s", "link/c.conf"));
	assert_false(allows("s", "real/c.conf"));
	assert_false(allows("s", "real/d/new.conf"));
	assert_true(allows("s", "real/d/new.txt"));
	assert_false(allows("s", "/none/key"));
}

/* Where they really are, whether or not they are there. */
static void test_real_places(void **state)
{
	char expected[512];

	(void)state;
	CHECK(mkdir(temp_path(&kit.temp, "real"), 0755) == 0);
	CHECK(mkdir(temp_path(&kit.temp, "real/st"), 0755) == 0);
	CHECK(symlink("real", temp_path(&kit.temp, "link")) == 0);
	CHECK(symlink("real/st", temp_path(&kit.temp, "state")) == 0);
	kit_good("confsync { self = 'a' state-directory = '@/state/' control = '@/link/run/ctl'\n"
		 "fence-log = '@/link/audit' }\n" CONFKIT_PAIR "set 's' { paths = {'@/'} }\n");
	snprintf(expected, sizeof(expected), "%s/real/st", kit.temp.folder);
	assert_string_equal(kit.config.general.state_directory, expected);
	assert_false(allows("s", "real/st"));
	assert_false(allows("s", "real/st/s/generation"));
	assert_false(allows("s", "real/run/ctl"));
	assert_false(allows("s", "real/run"));
	assert_false(allows("s", "real/audit"));
	assert_true(allows("s", "real/other"));
}

/* Ten thousand names, as of an imported list: each is asked for, and one beside it. */
static void test_many(void **state)
{
	enum { MANY = 10000 };
	char *text = malloc(sizeof(HEAD) + 64 + MANY * 32), path[64];
	size_t len;

	(void)state;
	assert_non_null(text);
	len = (size_t)sprintf(text, HEAD "set 's' { paths = {\n");
	for (int i = 0; i < MANY; i++)
		len += (size_t)sprintf(text + len, "'/etc/l/n%d',\n", i * 7 % MANY);
	sprintf(text + len, "'/etc/last'} }\n");
	kit_good(text);
	free(text);
	for (int i = 0; i < MANY; i++) {
		snprintf(path, sizeof(path), "/etc/l/n%d", i);
		assert_true(allows("s", path));
		snprintf(path, sizeof(path), "/etc/l/x%d", i);
		assert_false(allows("s", path));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_patterns, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(test_own_files, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(test_own_by_link, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(test_real_places, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(test_many, kit_set_up, kit_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
