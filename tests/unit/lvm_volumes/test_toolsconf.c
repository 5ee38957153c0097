/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lvm_tools.conf: the file of old, every key, and what no shell would take. */
#include "toolsconf.h"

#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int parse(const char *text, struct toolsconf *c, struct toolsconf_faults *f)
{
	*f = (struct toolsconf_faults){0};
	return toolsconf_parse("x.conf", text, c, f);
}

static void test_of_old(void **state)
{
	static const char text[] = "# default snap name suffix\n"
				   "DEFAULT_SNAP_SUFFIX=bk\n"
				   "\n"
				   "# in percent (SM < 100GB, XL >= 100GB)\n"
				   "DEFAULT_SNAP_SPACE_SM=21\n"
				   "DEFAULT_SNAP_SPACE_XL=16\n"
				   "ENABLE_MD5=1\n"
				   "#\n"
				   "  # indented\n"
				   "ENABLE_RAW=0\n"
				   "MIN_TRANSFER_RATE=5";
	struct toolsconf c;
	struct toolsconf_faults f;

	(void)state;
	assert_int_equal(parse(text, &c, &f), 0);
	assert_string_equal(c.snap_suffix, "bk");
	assert_int_equal(c.space_sm, 21);
	assert_int_equal(c.space_xl, 16);
	assert_int_equal(c.verify, 1);
	assert_int_equal(c.direct, 0);
	assert_int_equal(c.min_rate, 5);
	toolsconf_free(&c);
}

static void test_initial(void **state)
{
	struct toolsconf c;
	struct toolsconf_faults f;

	(void)state;
	assert_int_equal(parse("", &c, &f), 0);
	assert_null(c.snap_suffix);
	assert_int_equal(c.space_sm, 20);
	assert_int_equal(c.space_xl, 15);
	assert_int_equal(c.chunk, 0);
	assert_int_equal(c.extend_at, 70);
	assert_int_equal(c.extend_by, 50);
	assert_int_equal(c.reserve, 0);
	assert_int_equal(c.verify, 0);
	assert_int_equal(c.direct, 1);
	assert_int_equal(c.min_rate, 4);
	toolsconf_free(&c);
}

static void test_forms(void **state)
{
	static const char *const texts[] = {"DEFAULT_SNAP_SUFFIX=\"a b\"",
		"DEFAULT_SNAP_SUFFIX='a b'", "\tDEFAULT_SNAP_SUFFIX='a b' # why",
		"DEFAULT_SNAP_SUFFIX='a b'\r\n",
		"DEFAULT_SNAP_SUFFIX=x\nDEFAULT_SNAP_SUFFIX='a b'\n"};
	struct toolsconf c;
	struct toolsconf_faults f;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_int_equal(parse(texts[i], &c, &f), 0);
		assert_string_equal(c.snap_suffix, "a b");
		toolsconf_free(&c);
	}
	assert_int_equal(parse("SNAP_CHUNK=64K\nSNAP_RESERVE=5G # five\n", &c, &f), 0);
	assert_int_equal(c.chunk, 65536);
	assert_int_equal(c.reserve, 5ULL << 30);
	toolsconf_free(&c);
}

static void test_faults(void **state)
{
	static const struct {
		const char *text, *fault;
	} rows[] = {
		{"DEFAULT_SNAP_SPACE_SM = 20", "without blanks"},
		{"DEFAULT_SNAP_SPACE_SM", "must be KEY=VALUE"},
		{"=1", "must be KEY=VALUE"},
		{"DEFAULT_SNAP_SPACE_SX=20", "is DEFAULT_SNAP_SPACE_SM meant?"},
		{"SOMETHING=1", "there is no such key"},
		{"DEFAULT_SNAP_SPACE_SM=0", "from 1 to 100"},
		{"DEFAULT_SNAP_SPACE_SM=101", "from 1 to 100"},
		{"DEFAULT_SNAP_SPACE_SM=", "from 1 to 100"},
		{"DEFAULT_SNAP_SPACE_SM=20%", "from 1 to 100"},
		{"DEFAULT_SNAP_SUFFIX=", "must not be empty"},
		{"DEFAULT_SNAP_SUFFIX=a b", "behind the value"},
		{"DEFAULT_SNAP_SUFFIX='a'b", "behind the value"},
		{"DEFAULT_SNAP_SUFFIX='a'#b", "behind the value"},
		{"DEFAULT_SNAP_SUFFIX='a", "not closed"},
		{"DEFAULT_SNAP_SUFFIX=$(date)", "a shell would not"},
		{"DEFAULT_SNAP_SUFFIX=\"$HOME\"", "a shell would not"},
		{"DEFAULT_SNAP_SUFFIX=`date`", "a shell would not"},
		{"DEFAULT_SNAP_SUFFIX=a;b", "a shell would not"},
		{"SNAP_CHUNK=3K", "a power of two"},
		{"SNAP_CHUNK=2K", "a power of two"},
		{"SNAP_CHUNK=1M", "from 0 to 524288"},
		{"ENABLE_MD5=yes", "from 0 to 1"},
		{"SNAP_EXTEND_AT=100", "from 0 to 99"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct toolsconf c;
		struct toolsconf_faults f;

		assert_int_equal(parse(rows[i].text, &c, &f), -EINVAL);
		assert_int_equal(f.count, 1);
		if (!strstr(f.lines[0], rows[i].fault))
			fail_msg("%s: %s", rows[i].text, f.lines[0]);
		toolsconf_forget(&f);
		toolsconf_free(&c);
	}
}

static void test_all_faults(void **state)
{
	char text[40 * 4 + 1] = "";
	struct toolsconf c;
	struct toolsconf_faults f;

	(void)state;
	for (int i = 0; i < 40; i++)
		strcat(text, "A=1\n");
	assert_int_equal(parse(text, &c, &f), -EINVAL);
	assert_int_equal(f.count, TOOLSCONF_FAULTS_MAX);
	assert_non_null(strstr(f.lines[4], "x.conf:5: "));
	toolsconf_forget(&f);
	toolsconf_free(&c);
}

static void test_files(void **state)
{
	struct toolsconf c;
	struct err err = {0};

	(void)state;
	assert_int_equal(toolsconf_read("/none/at/all", &c, NULL, &err), -ENOENT);
	assert_true(*err.text);
	assert_int_equal(c.space_sm, 20);
	toolsconf_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of_old),
		cmocka_unit_test(test_initial),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_all_faults),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
