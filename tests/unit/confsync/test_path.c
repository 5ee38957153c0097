/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Paths and patterns as tables; limits at their edges. */
#include "path.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { ROOM = 8192 };

/* COUNT components of LEN bytes. */
static const char *long_path(char out[ROOM], size_t count, size_t len)
{
	char *p = out;

	for (; count > 0; count--) {
		*p++ = '/';
		memset(p, 'x', len);
		p += len;
	}
	*p = 0;
	return out;
}

static void test_clean(void **state)
{
	static const char *const good[] = {"/a", "/etc/xnbd", "/...", "/a..", "/..a", "/.a", "/a b",
		"/a\nb", "/\xff\x01", "/*", "/a/-/b"};
	static const char *const bad[] = {"", "/", "a", "a/b", "//", "//a", "/a/", "/a//b", "/.",
		"/..", "/a/.", "/a/..", "/./a", "/../a", "/a/../b", "/a/./b", " /a", "./a"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(path_is_clean(good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(path_is_clean(bad[i]));
		assert_false(path_matches("/**", bad[i]));
		assert_false(path_excluded("*", bad[i]));
	}
}

static void test_limits(void **state)
{
	char p[ROOM];

	(void)state;
	assert_true(path_is_clean(long_path(p, 1, 255)));
	assert_false(path_is_clean(long_path(p, 1, 256)));
	assert_true(path_is_clean(long_path(p, 64, 1)));
	assert_true(path_matches("/**", p));
	assert_null(path_pattern_fault(p));
	assert_true(path_matches(p, p));
	assert_false(path_is_clean(long_path(p, 65, 1)));
	assert_false(path_matches("/**", p));
	assert_non_null(path_pattern_fault(p));
	assert_false(path_matches(p, p));
	assert_true(path_is_clean(long_path(p, 16, 249))); /* 4000 */
	assert_true(path_matches(p, p));
	strcat(p, "x");
	assert_false(path_is_clean(p));
	assert_non_null(path_pattern_fault(p));
	strcpy(p + 3999, "/");
	assert_null(path_pattern_fault(p));
}

static void test_pattern_faults(void **state)
{
	static const char *const good[] = {"/a", "/a/", "/*", "/**", "/**/a", "/a/**", "/a/**/b/",
		"/[ab]*", "/[]]", "/[!]]", "/[^]]", "/[[:alpha:]]", "/[a[:digit:]b]", "/\\*\\*",
		"/\\[", "/[**]", "/a*b*", "/?", "/[[=a=]]", "/[\\]]", "/\xff*"};
	static const char *const bad[] = {"", "/", "//", "a", "a/", "*", "/a//", "/a//b", "/a/./b",
		"/a/../b", "/..", "/a**", "/**a", "/***", "/a/b**c", "/[", "/[]", "/[!]", "/[a",
		"/[a/b]", "/a\\", "/[a\\]", "/[[:alpha:]", "/[[:alpha", "/a/[[.", "/\\"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_null(path_pattern_fault(good[i]));
		assert_null(path_exclusion_fault(good[i]));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_non_null(path_pattern_fault(bad[i]));
}

static void test_exclusion_faults(void **state)
{
	static const char *const good[] = {"a", "*.orig", "[ab]", ".*", "*", "**", "..."};
	static const char *const bad[] = {
		"", "a/", "a/b", "[", "a\\", "a**", "*/a", "./a", "/", "/a/../b"};
	char p[ROOM];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_null(path_exclusion_fault(good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_non_null(path_exclusion_fault(bad[i]));
	assert_null(path_exclusion_fault(long_path(p, 1, 255) + 1));
	assert_true(path_excluded(p + 1, p));
	assert_non_null(path_exclusion_fault(long_path(p, 1, 256) + 1));
	assert_false(path_excluded(p + 1, "/xx"));
}

static void test_matches(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool yes;
	} cases[] = {
		{"/etc/a", "/etc/a", true},
		{"/etc/a", "/etc/a/b/c", true}, /* a folder above it */
		{"/etc/a", "/etc/a/.b", true},
		{"/etc/a/", "/etc/a", true},
		{"/etc/a/", "/etc/a/.b/c", true},
		{"/etc/a", "/etc/ab", false},
		{"/etc/a", "/etc", false},
		{"/etc/ab", "/etc/a", false},
		{"/etc/*", "/etc/a", true},
		{"/etc/*", "/etc/.a", false},
		{"/etc/.*", "/etc/.a", true},
		{"/etc/*", "/etc", false},
		{"/etc/*", "/etc/a/.b", true}, /* /etc/a matches */
		{"/etc/*.conf", "/etc/a.conf", true},
		{"/etc/*.conf", "/etc/.conf", false},
		{"/etc/*.conf", "/etc/d/a.conf", false},
		{"/etc/*/x", "/etc/a/x", true},
		{"/etc/*/x", "/etc/a/b/x", false},
		{"/etc/?", "/etc/a", true},
		{"/etc/?", "/etc/.", false},
		{"/etc/[ab]", "/etc/b", true},
		{"/etc/[!ab]", "/etc/b", false},
		{"/etc/[!ab]", "/etc/.", false},
		{"/etc/[.]a", "/etc/.a", false},
		{"/etc/\\*", "/etc/*", true},
		{"/etc/\\*", "/etc/a", false},
		{"/etc/**", "/etc", true},
		{"/etc/**", "/etc/a/b", true},
		{"/etc/**", "/etc/.a", true}, /* as /etc itself matches */
		{"/etc/**", "/var", false},
		{"/**/x", "/x", true},
		{"/**/x", "/a/b/c/x", true},
		{"/**/x", "/a/.b/x", false},
		{"/**/.x", "/a/.x", true},
		{"/a/**/b/**/c", "/a/b/c", true},
		{"/a/**/b/**/c", "/a/1/b/2/3/b/c", true},
		{"/a/**/b/**/c", "/a/c/b", false},
		{"/a/**/**/c", "/a/c", true},
		{"/**/*.d/*", "/etc/x.d/y", true},
		{"/?tc", "/etc", true},
		{"/e\xff", "/e\xff", true},
		{"/e?", "/e\xff", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (path_matches(cases[i].pattern, cases[i].path) != cases[i].yes)
			fail_msg("%s %s", cases[i].pattern, cases[i].path);
	}
}

static void test_excluded(void **state)
{
	static const struct {
		const char *exclusion, *path;
		bool yes;
	} cases[] = {
		{"*.orig", "/etc/a.orig", true},
		{"*.orig", "/etc/.orig", true},
		{"*.orig", "/etc/x.orig/a", true}, /* each component */
		{"*.orig", "/etc/a.original", false},
		{"*", "/etc/.a", true},
		{".git", "/etc/.git/config", true},
		{"git", "/etc/.git", false},
		{"/etc/a", "/etc/a/b", true},
		{"/etc/a/", "/etc/a", true},
		{"/etc/*.bak", "/etc/a.bak", true},
		{"/etc/*.bak", "/etc/d/a.bak", false},
		{"/etc/**/*.bak", "/etc/d/a.bak", true},
		{"/etc/*", "/etc/.a", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (path_excluded(cases[i].exclusion, cases[i].path) != cases[i].yes)
			fail_msg("%s %s", cases[i].exclusion, cases[i].path);
	}
}

static void test_may_hold(void **state)
{
	static const struct {
		const char *pattern, *folder;
		bool yes;
	} cases[] = {
		{"/etc/a", "/", true},
		{"/etc/a", "/etc", true},
		{"/etc/a", "/etc/a", true}, /* it may be a folder */
		{"/etc/a", "/etc/b", false},
		{"/etc/a", "/var", false},
		{"/etc/*/x", "/etc/.a", false},
		{"/etc/*/x", "/etc/a", true},
		{"/etc/**/x", "/etc/a/b/c", true},
		{"/etc/**/x", "/etc/a/.b", false},
		{"/etc/**/.b/x", "/etc/a/.b", true},
		{"/etc/*.d", "/etc/x.d/y/.z", true},
		{"/etc/a", "etc", false},
		{"/etc/a", "/etc/", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (path_may_hold(cases[i].pattern, cases[i].folder) != cases[i].yes)
			fail_msg("%s %s", cases[i].pattern, cases[i].folder);
	}
}

static void test_fixed_part(void **state)
{
	static const char *const cases[][2] = {{"/etc/a", "/etc/a"}, {"/etc/a/", "/etc/a"},
		{"/etc/*.conf", "/etc"}, {"/etc/a*/b", "/etc"}, {"/**", "/"}, {"/*/a", "/"},
		{"/etc/\\a/b", "/etc"}, {"/etc/[a]/b", "/etc"}, {"/a/b/?", "/a/b"}};
	char out[PATH_BYTES_MAX + 1], p[ROOM];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t len = strlen(cases[i][1]);

		assert_true(path_fixed_part(cases[i][0], out, sizeof(out)));
		assert_string_equal(out, cases[i][1]);
		assert_true(path_fixed_part(cases[i][0], out, len + 1));
		assert_false(path_fixed_part(cases[i][0], out, len));
	}
	assert_true(path_fixed_part(long_path(p, 16, 249), out, sizeof(out)));
	assert_string_equal(out, p);
	assert_false(path_fixed_part("etc", out, sizeof(out)));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_pattern_faults),
		cmocka_unit_test(test_exclusion_faults),
		cmocka_unit_test(test_matches),
		cmocka_unit_test(test_excluded),
		cmocka_unit_test(test_may_hold),
		cmocka_unit_test(test_fixed_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
