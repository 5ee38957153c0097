/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Identifiers, keys and patterns: what is read, what is refused, and that nothing wraps - an outlet
 * 257 or 4294967297 must never become outlet 1.
 */
#include "oid.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_parse(void **state)
{
	static const char *const bad[] = {"", ".", "1", "1.", "..1.2", "1..2", "1.2.", "a.b",
		"1.2x", "1.-2", "1.+2", "1. 2", " 1.2", "1.2 ", "1.4294967296",
		"1.99999999999999999999", "1.0x10", "1,2", "1.{1}", "iso.3.6"};
	struct oid o;
	char text[OID_TEXT_MAX];

	(void)state;
	assert_true(oid_parse("1.3.6.1", &o));
	assert_int_equal(o.count, 4);
	assert_true(oid_parse(".1.3.6.1.4.1.318.4294967295.0", &o));
	oid_print(&o, text);
	assert_string_equal(text, "1.3.6.1.4.1.318.4294967295.0");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(oid_parse(bad[i], &o));
	assert_int_equal(o.count, 9); /* untouched */
}

static void test_longest(void **state)
{
	struct oid o;
	char text[OID_TEXT_MAX * 2] = "4294967295", out[OID_TEXT_MAX];

	(void)state;
	for (size_t i = 1; i < OID_MAX; i++)
		strcat(text, ".4294967295");
	assert_true(oid_parse(text, &o));
	assert_int_equal(o.count, OID_MAX);
	oid_print(&o, out);
	assert_string_equal(out, text);
	strcat(text, ".1");
	assert_false(oid_parse(text, &o));
}

static void test_compare(void **state)
{
	struct oid a, b, c;

	(void)state;
	assert_true(oid_parse("1.3.6.1.4.1.318", &a));
	assert_true(oid_parse("1.3.6.1.4.1.318.1", &b));
	assert_true(oid_parse("1.3.6.1.4.1.3181", &c));
	assert_true(oid_equal(&a, &a));
	assert_false(oid_equal(&a, &b));
	assert_false(oid_equal(&a, &c));
	assert_true(oid_begins(&b, &a));
	assert_true(oid_begins(&a, &a));
	assert_false(oid_begins(&a, &b));
	assert_false(oid_begins(&c, &a));
}

static void test_keys(void **state)
{
	static const char *const bad[] = {"", ".1", "1.", "1.2.3.4", "-1", "x", "1.x", " 1", "1 ",
		"4294967296", "1.4294967297"};
	struct oid_key k = {0}, other;
	char text[OID_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(oid_key_parse(bad[i], &k));
	assert_true(oid_key_parse("1.2.8", &k));
	oid_key_print(&k, text);
	assert_string_equal(text, "1.2.8");
	assert_true(oid_key_parse("01.2.08", &other)); /* the same outlet */
	assert_true(oid_key_equal(&k, &other));
	assert_true(oid_key_parse("1.2", &other));
	assert_false(oid_key_equal(&k, &other));
}

static void check_fill(const char *pattern, const char *key, const char *expected)
{
	struct oid_key k;
	struct oid o;
	char text[OID_TEXT_MAX];

	assert_true(oid_key_parse(key, &k));
	if (!expected) {
		assert_false(oid_fill(pattern, &k, &o));
		return;
	}
	assert_true(oid_fill(pattern, &k, &o));
	oid_print(&o, text);
	assert_string_equal(text, expected);
}

static void test_fill(void **state)
{
	(void)state;
	check_fill("1.3.{1}", "3", "1.3.3");
	check_fill(".1.3.{1}.0", "256", "1.3.256.0");
	check_fill("1.3.{1+1}.0", "3", "1.3.4.0");
	check_fill("1.3.{1-1}", "3", "1.3.2");
	check_fill("1.3.{1}.{2}.{3}", "1.2.8", "1.3.1.2.8");
	check_fill("1.3.{3}.9.{1+10}", "1.2.8", "1.3.8.9.11");
	check_fill("1.3.1.0", "7", "1.3.1.0");
	/* No such outlet; nothing wraps. */
	check_fill("1.3.{1-1}", "0", NULL);
	check_fill("1.3.{1+1}", "4294967295", NULL);
	check_fill("1.3.{2}", "3", NULL);
	check_fill("1.3.{1}.{2}.{3}", "1.2", NULL);
}

static void test_patterns(void **state)
{
	static const char *const bad[] = {"", "{1}", "1.3.{0}", "1.3.{4}", "1.3.{}", "1.3.{1",
		"1.3.1}", "1.3.{1+}", "1.3.{1*2}", "1.3.{1+4294967296}", "1.3.{1+1", "1.3.x{1}",
		"1.3.{1}4", "1.3.4{1}", "1.3.{1}.", "1.3.{ 1}", "1.3.{11}", "1.3.{1-}",
		"1.3.{1+1+1}", "1.3.{{1}}"};
	char longest[OID_PATTERN_MAX + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (oid_pattern_parts(bad[i]) != -EINVAL)
			fail_msg("%s", bad[i]);
	}
	assert_int_equal(oid_pattern_parts("1.3"), 0);
	assert_int_equal(oid_pattern_parts("1.3.{1}"), 1);
	assert_int_equal(oid_pattern_parts("1.3.{1}.{1}"), 1);
	assert_int_equal(oid_pattern_parts("1.3.{3}.{1-7}"), 5);
	assert_int_equal(oid_pattern_parts("{1}.{2}.{3+1}"), 7);
	memset(longest, '1', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(oid_pattern_parts(longest), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_patterns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
