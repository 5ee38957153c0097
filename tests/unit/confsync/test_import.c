/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of rsync --files-from as sets: what is written is read again as a configuration. */
#include "import.h"

#include "check.h"
#include "confkit.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char output[65536];
static struct err err;

static int import_bytes(const struct import *o, const char *list, size_t len)
{
	FILE *in = fmemopen((void *)(uintptr_t)list, len, "r");
	FILE *out = fmemopen(output, sizeof(output), "w");
	int r;

	assert_non_null(in);
	assert_non_null(out);
	memset(output, 0, sizeof(output));
	err = (struct err){0};
	r = import_list(o, in, "list", out, &err);
	fclose(in);
	fclose(out);
	return r;
}

static int import(const struct import *o, const char *list)
{
	return import_bytes(o, list, strlen(list));
}

static const struct import plain = {.set = "s"};

static void faulty(const struct import *o, const char *list, const char *text)
{
	assert_int_equal(import(o, list), -EINVAL);
	assert_string_equal(err.text, text);
	assert_string_equal(output, "");
}

static void test_text(void **state)
{
	(void)state;
	assert_int_equal(import(&plain,
				 "# a comment\n\n; another\n/etc/a\netc/b\r\n./etc/./c\n"
				 "etc//d\n/etc/b\nno such file \n"),
		0);
	assert_string_equal(output,
		"set \"s\" {\n"
		"\tpaths = {\n"
		"\t\t'/etc/a',\n"
		"\t\t'/etc/b',\n"
		"\t\t'/etc/c',\n"
		"\t\t'/etc/d',\n"
		"\t\t'/no such file '\n"
		"\t}\n"
		"}\n");
}

/* The list's names, and no others, are allowed by what was written. */
static void reads_back(const char *const *names, size_t count)
{
	char text[sizeof(output) + 1024];

	snprintf(text, sizeof(text), CONFKIT_GENERAL CONFKIT_PAIR "%s", output);
	if (confkit_read(&kit, text) < 0)
		fail_msg("%s%s", kit.faults, output);
	assert_int_equal(kit.config.sets[0].paths.count, count);
	for (size_t i = 0; i < count; i++) {
		if (!config_allows(&kit.config, &kit.config.sets[0], names[i]))
			fail_msg("'%s' is not in\n%s", names[i], output);
	}
}

static void test_special_names(void **state)
{
	static const char *const names[] = {"/a*b", "/a?b", "/[ab]", "/back\\slash", "/quo'te",
		"/quo\"te", "/${HOME}", "/ blank ", "/tab\there", "/\xc3\xa4", "/**", "/#c"};
	char list[512] = "";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		strcat(list, names[i]);
		strcat(list, "\n");
	}
	assert_int_equal(import(&plain, list), 0);
	reads_back(names, ARRAY_LEN(names));
	assert_false(config_allows(&kit.config, &kit.config.sets[0], "/aXb"));
	assert_false(config_allows(&kit.config, &kit.config.sets[0], "/a"));
	assert_false(config_allows(&kit.config, &kit.config.sets[0], "/x/y"));
}

/* With zero bytes newlines are of the names; comments are there as well, as rsync has it. */
static void test_zeros(void **state)
{
	static const char list[] = "/a\nb\0#c\0\0/d\0/last";
	static const char *const names[] = {"/a\nb", "/d", "/last"};
	const struct import o = {.set = "s", .from0 = true};

	(void)state;
	assert_int_equal(import_bytes(&o, list, sizeof(list) - 1), 0);
	reads_back(names, ARRAY_LEN(names));
	assert_int_equal(import_bytes(&plain, list, sizeof(list) - 1), -EINVAL);
	assert_string_equal(err.text, "list:2: contains a zero byte; is it a list for --from0?");
}

static void test_folders(void **state)
{
	char root[128], list[] = "file\nsub\nother/\nsub/\n", wanted[1024];
	struct import o = {.set = "s", .root = root};

	(void)state;
	snprintf(root, sizeof(root), "%s", kit.temp.folder);
	temp_file(&kit.temp, "file", "");
	CHECK(mkdir(temp_path(&kit.temp, "sub"), 0755) == 0);
	faulty(&o, list,
		"list:2: 'sub': is a folder: say whether all that is in it is meant, as by rsync -r "
		"(and 2 more)");
	o.folders = IMPORT_TREES;
	assert_int_equal(import(&o, list), 0);
	snprintf(wanted, sizeof(wanted),
		"set \"s\" {\n\tpaths = {\n\t\t'%s/file',\n\t\t'%s/sub/',\n\t\t'%s/other/'\n\t}\n}\n",
		root, root, root);
	assert_string_equal(output, wanted);
	o.folders = IMPORT_SKIP;
	assert_int_equal(import(&o, "file\nsub\n"), 0);
	snprintf(wanted, sizeof(wanted),
		"# a folder, left out: %s/sub/\nset \"s\" {\n\tpaths = {\n\t\t'%s/file'\n\t}\n}\n",
		root, root);
	assert_string_equal(output, wanted);
	faulty(&o, "sub\n", "list: has no name that could be in a set");
}

static void test_faults(void **state)
{
	const struct import no_name = {.set = "../s"}, relative = {.set = "s", .root = "etc"};
	char list[5000];

	(void)state;
	faulty(&plain, "", "list: has no name that could be in a set");
	faulty(&plain, "# nothing\n", "list: has no name that could be in a set");
	faulty(&plain, "a\n\netc/../b\n",
		"list:3: 'etc/../b': \"..\" cannot be told; write the name without it");
	faulty(&plain, "a\r\n/\r\n", "list:2: '/': is the root folder");
	faulty(&plain, "a\nb\xff\n../c\n",
		"list:2: 'b\\xff': is not UTF-8; use a pattern with '?' in the configuration (and 1 "
		"more)");
	faulty(&no_name, "a\n",
		"'../s': the name of a set consists of letters, digits, '.', '_' and '-'");
	faulty(&relative, "a\n", "'etc': the source folder must be an absolute path");
	memset(list, 'x', sizeof(list) - 1);
	list[sizeof(list) - 1] = 0;
	assert_int_equal(import(&plain, list), -EINVAL);
	assert_non_null(strstr(err.text, "the name is too long"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_text, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(test_special_names, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(test_zeros, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(test_folders, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(test_faults, kit_set_up, kit_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
