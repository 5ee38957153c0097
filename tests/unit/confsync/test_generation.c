/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Generations as text: the exact form, what comes back, and all that is refused. */
#include "generation.h"
#include "sample.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Of one folder: its digest is checked. */
#define HEAD                                                                                       \
	"xnbd-confsync 1\n"                                                                        \
	"set xnbd\n"                                                                               \
	"number 7\n"                                                                               \
	"vector n1 3 n2 4\n"                                                                       \
	"parent 0000000000000000000000000000000000000000000000000000000000000000\n"
#define TAIL                                                                                       \
	"transaction 0123456789abcdef\n"                                                           \
	"origin n1\n"                                                                              \
	"time 1800000000\n"                                                                        \
	"reason rollback%203\n"                                                                    \
	"files 1\n"                                                                                \
	"d 0755 root root /etc\n"                                                                  \
	"end\n"

static char *text_of(const struct generation *g)
{
	struct buf b;
	char *ret;

	buf_init(&b, MANIFEST_TEXT_MAX);
	generation_print(g, &b);
	assert_false(buf_failed(&b));
	buf_put(&b, "", 1);
	ret = strdup((const char *)buf_bytes(&b));
	assert_non_null(ret);
	buf_done(&b);
	return ret;
}

static int parse(const char *text, struct generation *g, struct err *err)
{
	return generation_parse(text, strlen(text), g, err);
}

static struct generation sample(void)
{
	struct generation g;

	generation_init(&g);
	strcpy(g.set, "xnbd");
	g.number = 7;
	g.vector = (struct vector){{{"n1", 3}, {"n2", 4}}};
	strcpy(g.transaction, "0123456789abcdef");
	strcpy(g.origin, "n1");
	g.time = 1800000000;
	strcpy(g.reason, "rollback 3");
	sample_add(&g.files, MANIFEST_FOLDER, "/etc");
	assert_int_equal(manifest_digest(&g.files, g.digest), 0);
	return g;
}

static void test_form(void **state)
{
	struct generation g = sample(), back;
	char *text = text_of(&g), *again, hex[MANIFEST_HEX], want[1024];

	(void)state;
	hash_to_hex(g.digest, hex);
	snprintf(want, sizeof(want), "%sdigest %s\n%s", HEAD, hex, TAIL);
	assert_string_equal(text, want);
	generation_init(&back);
	assert_int_equal(parse(text, &back, NULL), 0);
	again = text_of(&back);
	assert_string_equal(again, text);
	assert_string_equal(back.reason, "rollback 3");
	assert_int_equal(back.time, 1800000000);
	free(again);
	again = NULL;
	generation_done(&back);
	assert_int_equal(generation_copy(&back, &g), 0);
	generation_done(&g);
	again = text_of(&back);
	assert_string_equal(again, text);
	generation_done(&back);
	free(text);
	free(again);
}

/* What is not there yet. */
static void test_empty(void **state)
{
	struct generation g, back;
	char *text;

	(void)state;
	generation_init(&g);
	generation_init(&back);
	strcpy(g.set, "s");
	g.time = -5;
	strcpy(g.reason, "-");
	assert_int_equal(manifest_digest(&g.files, g.digest), 0);
	text = text_of(&g);
	assert_non_null(strstr(text, "\nvector\n"));
	assert_int_equal(parse(text, &back, NULL), 0);
	assert_string_equal(back.reason, "-");
	assert_string_equal(back.transaction, "");
	assert_string_equal(back.origin, "");
	assert_int_equal(back.time, 0);
	assert_true(hash_is_zero(back.parent));
	assert_string_equal(back.vector.at[0].node, "");
	free(text);
}

static void test_reason(void **state)
{
	struct generation g = sample(), back;
	char *text;

	(void)state;
	generation_init(&back);
	memset(g.reason, '\n', sizeof(g.reason) - 1); /* each becomes four */
	text = text_of(&g);
	assert_int_equal(parse(text, &back, NULL), 0);
	assert_memory_equal(back.reason, "\\x0a\\x0a", 8);
	free(text);
	strcpy(g.reason, "\xc3\xa4 \xff");
	text = text_of(&g);
	assert_int_equal(parse(text, &back, NULL), 0);
	assert_string_equal(back.reason, "\xc3\xa4 \\xff");
	free(text);
	generation_done(&g);
	generation_done(&back);
}

/* The text of sample() with FROM replaced by TO. */
static char *altered(const char *from, const char *to)
{
	struct generation g = sample();
	char *text = text_of(&g), *at = strstr(text, from), *ret = NULL;

	assert_non_null(at);
	assert_true(asprintf(&ret, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) > 0);
	free(text);
	generation_done(&g);
	return ret;
}

static void test_refused(void **state)
{
	static const struct {
		const char *from, *to, *why;
	} cases[] = {
		{"confsync 1", "confsync 2", "no generation"},
		{"set xnbd", "set ../xnbd", "line 2 is not \"set\""},
		{"set xnbd", "set .xnbd", "line 2"},
		{"set xnbd", "set -xnbd", "line 2"},
		{"set xnbd", "set %E4", "line 2"},
		{"set xnbd", "set", "line 2"},
		{"set xnbd\n", "", "line 2"},
		{"number 7", "number 07", "line 3"},
		{"number 7", "number 9223372036854775808", "line 3"},
		{"number 7", "number 7 ", "line 3"},
		{"vector n1 3 n2 4", "vector n2 3 n1 4", "line 4"},
		{"vector n1 3 n2 4", "vector n1 3 n1 4", "line 4"},
		{"vector n1 3 n2 4", "vector n1 3 n2", "line 4"},
		{"vector n1 3 n2 4", "vector n1 3 n2 4 n3 5", "line 4"},
		{"vector n1 3 n2 4", "vector n1 3 n/2 4", "line 4"},
		{"vector n1 3 n2 4", "vector n1 9223372036854775808", "line 4"},
		{"parent 0", "parent ", "line 5"},
		{"digest ", "digest 0", "line 6"},
		{"transaction 0123", "transaction 012", "line 7"},
		{"transaction 0123", "transaction 012G", "line 7"},
		{"transaction 0123", "transaction 012A", "line 7"},
		{"origin n1", "origin n1 n2", "line 8"},
		{"time 18", "time -18", "line 9"},
		{"time 1800000000", "time 9223372036854775808", "line 9"},
		{"reason rollback%203", "reason rollback 3", "line 10"},
		{"reason rollback%203", "reason %1B[31m", "line 10"},
		{"reason rollback%203", "reason %FF", "line 10"},
		{"reason rollback%203", "reason a%0Ab", "line 10"},
		{"files 1", "files 2", "it has 1 files where it says 2"},
		{"files 1", "files 100001", "line 11"},
		{"/etc\n", "/etd\n", "digest"},
		{"0755", "0754", "digest"},
		{"d 0755", "d 755", "its files, line 1: the mode"},
		{"end\n", "end", "no end"},
		{"end\n", "", "no end"},
		{"end\n", "end\nend\n", "its files, line 2"},
		{"/etc\nend", "/etcend", "has no end"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *text = altered(cases[i].from, cases[i].to);
		struct generation g = sample();
		struct err err = {0};

		if (parse(text, &g, &err) == 0)
			fail_msg("taken: %s", cases[i].to);
		if (!strstr(err.text, cases[i].why))
			fail_msg("%s: %s", cases[i].to, err.text);
		assert_null(g.files.entries);
		assert_int_equal(g.number, 0);
		free(text);
	}
}

static void test_damage(void **state)
{
	struct generation g = sample(), back;
	char *text = text_of(&g), *again;
	size_t len = strlen(text);

	(void)state;
	generation_init(&back);
	for (size_t i = 0; i < len; i++) {
		for (unsigned bit = 1; bit < 256; bit <<= 1) {
			text[i] = (char)(text[i] ^ bit);
			if (generation_parse(text, len, &back, NULL) == 0) {
				again = text_of(&back);
				assert_memory_equal(again, text, len);
				free(again);
			}
			text[i] = (char)(text[i] ^ bit);
		}
		assert_true(generation_parse(text, i, &back, NULL) < 0);
	}
	generation_done(&g);
	generation_done(&back);
	free(text);
}

static void test_names(void **state)
{
	static const char *const good[] = {"a", "n1", "_", "0", "a.b-c_D", "a..b"};
	static const char *const bad[] = {
		"", ".", "..", ".a", "-", "-a", "a/b", "a b", "a\n", "\xc3\xa4", "a%", "a:b"};
	char name[GENERATION_NAME_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(generation_name_ok(good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(generation_name_ok(bad[i]));
	memset(name, 'a', sizeof(name));
	name[GENERATION_NAME_MAX] = 0;
	assert_false(generation_name_ok(name));
	name[GENERATION_NAME_MAX - 1] = 0;
	assert_true(generation_name_ok(name));
	for (int c = 1; c < 256; c++) {
		char two[] = {'a', (char)c, 0};
		bool ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
			(c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == '-';

		assert_int_equal(generation_name_ok(two), ok);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_reason),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
