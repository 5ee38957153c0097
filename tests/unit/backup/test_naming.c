/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of copies: what is put in, what is refused, what is too long. */
#include "naming.h"

#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct naming_values values = {"vm1", "root-lv", 1795348800, 7};

static void test_expand(void **state)
{
	static const struct {
		const char *pattern, *want;
		enum naming_kind kind;
	} all[] = {
		{"file:/b/%v", "file:/b/vm1", NAMING_FIXED},
		{"file:/b/%v/%l.%t.zst", "file:/b/vm1/root-lv.20261122T120000Z.zst", NAMING_TIMED},
		{"lvm:h:/dev/b/%l_bk.%n", "lvm:h:/dev/b/root-lv_bk.7", NAMING_TURNED},
		{"file:/100%%/%%v", "file:/100%/%v", NAMING_FIXED},
		{"nbd:nbd+unix:///a.%n?socket=/run/x", "nbd:nbd+unix:///a.7?socket=/run/x",
			NAMING_TURNED},
		{"nbd://h/%v%%20%n", "nbd://h/vm1%207", NAMING_TURNED},
		{"%n", "7", NAMING_TURNED},
		{"", "", NAMING_FIXED},
	};
	char out[NAMING_TEXT_MAX];
	enum naming_kind kind;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		assert_int_equal(naming_check(all[i].pattern, &kind, &err), 0);
		assert_int_equal(kind, all[i].kind);
		assert_int_equal(naming_expand(all[i].pattern, &values, out, &err), 0);
		assert_string_equal(out, all[i].want);
	}
}

static void test_faults(void **state)
{
	static const char *const all[] = {"/x%", "/x%q", "/%n/x", "/%t/%v", "/%n%n", "/%t-%n",
		"/%t.%t", "/% n", "/%%%", "file:/%n?/x", "nbd://%n/x",
		"nbd+unix:///a?socket=/run/x.%n"};
	enum naming_kind kind = NAMING_TURNED;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		err = (struct err){0};
		assert_int_equal(naming_check(all[i], &kind, &err), -EINVAL);
		assert_int_equal(err.code, EINVAL);
	}
	assert_int_equal(kind, NAMING_TURNED);
}

static void test_too_long(void **state)
{
	char *name = calloc(1, NAMING_TEXT_MAX), out[NAMING_TEXT_MAX];
	struct naming_values v = values;
	struct err err;

	(void)state;
	v.volume = name;
	memset(name, 'a', NAMING_TEXT_MAX - 2);
	assert_int_equal(naming_expand("%v", &v, out, &err), 0);
	assert_int_equal(naming_expand("%vb", &v, out, &err), 0);
	assert_int_equal(strlen(out), NAMING_TEXT_MAX - 1);
	assert_int_equal(naming_expand("%vbc", &v, out, &err), -ENAMETOOLONG);
	free(name);
}

static void test_parts(void **state)
{
	char out[NAMING_TIME_ROOM];

	(void)state;
	assert_string_equal(naming_source("lvm:/dev/vg/lv"), "lv");
	assert_string_equal(naming_source("export:vm 1"), "vm 1");
	assert_string_equal(naming_source("x"), "x");
	assert_string_equal(naming_source("file:/x/"), "");
	naming_time(0, out);
	assert_string_equal(out, "19700101T000000Z");
	naming_time(253402300799, out);
	assert_string_equal(out, "99991231T235959Z");
	naming_time(UINT64_MAX, out);
	assert_string_equal(out, "00000000T000000Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expand),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
