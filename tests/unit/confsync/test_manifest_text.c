/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Manifests as text: the exact form, what comes back, and all that is refused. */
#include "line.h"
#include "manifest.h"
#include "path.h"
#include "sample.h"
#include "util.h"

#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ZERO    "0000000000000000000000000000000000000000000000000000000000000000"
#define F(path) "f 0644 root root 0 " ZERO " " path "\n"
#define D(path) "d 0755 root root " path "\n"
#define L(path) "l root root x " path "\n"

static int parse(const char *text, struct manifest *m, struct err *err)
{
	return manifest_parse(text, strlen(text), m, err);
}

static void test_form(void **state)
{
	static const char want[] =
		"d 2755 root adm /etc\n"
		"x acl.default user::rwx,user:a%20b:r--\n"
		"x user.empty -\n"
		"f 0600 root root 3 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad "
		"/etc/a%20b%25\n"
		"l 1000 root ../%C3%A4 /etc/l\n";
	struct manifest m;
	struct err err;
	char *text;

	(void)state;
	manifest_init(&m);
	assert_int_equal(parse(want, &m, &err), 0);
	assert_int_equal(m.count, 3);
	assert_int_equal(m.entries[0].mode, 02755);
	assert_string_equal(m.entries[0].attrs[0].value, "user::rwx,user:a b:r--");
	assert_int_equal(m.entries[0].attrs[1].len, 0);
	assert_string_equal(m.entries[1].path, "/etc/a b%");
	assert_int_equal(m.entries[1].size, 3);
	assert_string_equal(m.entries[2].target, "../\xc3\xa4");
	assert_int_equal(m.entries[2].mode, 0);
	assert_string_equal(m.entries[2].owner, "1000");
	text = sample_text(&m);
	assert_string_equal(text, want);
	free(text);
	manifest_done(&m);
}

static void check_refused(const char *text, const char *why)
{
	struct manifest m;
	struct err err = {0};

	manifest_init(&m);
	sample_add(&m, MANIFEST_FILE, "/before");
	if (parse(text, &m, &err) == 0)
		fail_msg("taken: %s", text);
	if (!strstr(err.text, why))
		fail_msg("%s: %s, not %s", text, err.text, why);
	assert_int_equal(m.count, 0);
	assert_null(m.entries);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"\n", "line 1: it does not begin"},
		{"f\n", "mode"},
		{"y 0644 root root /a\n", "does not begin"},
		{"ff 0644 root root 0 " ZERO " /a\n", "does not begin"},
		{"F 0644 root root 0 " ZERO " /a\n", "does not begin"},
		{" " F("/a"), "does not begin"},
		{"f 644 root root 0 " ZERO " /a\n", "mode"},
		{"f 00644 root root 0 " ZERO " /a\n", "mode"},
		{"f 0648 root root 0 " ZERO " /a\n", "mode"},
		{"f 0644  root 0 " ZERO " /a\n", "owner"},
		{"f 0644 root  0 " ZERO " /a\n", "group"},
		{"f 0644 ro\tot root 0 " ZERO " /a\n", "owner"},
		{"f 0644 root root 00 " ZERO " /a\n", "size"},
		{"f 0644 root root -1 " ZERO " /a\n", "size"},
		{"f 0644 root root 9223372036854775808 " ZERO " /a\n", "size"},
		{"f 0644 root root 0 00 /a\n", "hash"},
		{"f 0644 root root 0 " ZERO "0 /a\n", "hash"},
		{"f 0644 root root 0 " ZERO "\n", "path"},
		{"f 0644 root root 0 " ZERO " /a \n", "behind the path"},
		{"f 0644 root root 0 " ZERO " /a b\n", "behind the path"},
		{F("/%61"), "path"},
		{F("/a%00"), "path"},
		{F("/%e4"), "path"},
		{F("a"), "clean"},
		{F("/"), "clean"},
		{F("/a/"), "clean"},
		{F("/a/../b"), "clean"},
		{F("/a%0A/./b"), "clean"},
		{F("/a") F("/a"), "line 2: the path is not behind"},
		{F("/b") F("/a"), "line 2: the path is not behind"},
		{F("/a") "f 0644", "line 2: it has no end"},
		{"l 0777 root root x /a\n", "behind the path"},
		{"l root root - /a\nx\n", "without a file"},
		{"l root root x /a\nx user.a b\n", "without a file"},
		{"x user.a b\n", "without a file"},
		{F("/a") "x\n", "name"},
		{F("/a") "x user.a\n", "value"},
		{F("/a") "x user.a b c\n", "behind the value"},
		{F("/a") "x user.a b\nx user.a c\n", "line 3: the name is not behind"},
		{F("/a") "x user.b b\nx user.a c\n", "line 3: the name is not behind"},
		{F("/a") "x user.a b%\n", "value"},
		{F("/a") "x user.a %2d\n", "value"},
		{F("/a") "x user%00 a\n", "name"},
		{F("/a") "\n", "line 2: it does not begin"},
		{F("/a") F("/a/b"), "/a is no folder"},
		{L("/a") F("/a/b"), "/a is no folder"},
		{F("/a") F("/a-") F("/a.b") D("/a.b-") F("/a/b"), "/a is no folder"},
		{F("/a") D("/a!") F("/a/b/c"), "/a is no folder"},
		{D("/a") L("/a/l") D("/a/l/x"), "/a/l is no folder"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		check_refused(cases[i].text, cases[i].why);
}

static void test_taken(void **state)
{
	static const char *const cases[] = {"", F("/a"), D("/a") F("/a/b"), F("/a/b/c"),
		F("/a") D("/a-") F("/a-/b"), F("/a") F("/ab/c"),
		"f 7777 r g 9223372036854775807 " ZERO " /a\n", F("/a") F("/a%FF/b"),
		L("/a") F("/a!/b") F("/a-/x") F("/a0/b")};
	struct manifest m;
	struct err err;
	char *text;

	(void)state;
	manifest_init(&m);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (parse(cases[i], &m, &err) < 0)
			fail_msg("%zu: %s", i, err.text);
		text = sample_text(&m);
		assert_string_equal(text, cases[i]);
		free(text);
	}
	manifest_done(&m);
}

/* A line with a path, name or value of LEN bytes at its end. */
static int parse_long(const char *begin, char fill, size_t len, const char *end)
{
	size_t at = strlen(begin);
	char *text = malloc(at + len + strlen(end) + 1);
	struct manifest m;
	int r;

	assert_non_null(text);
	memcpy(text, begin, at);
	memset(text + at, fill, len);
	strcpy(text + at + len, end);
	manifest_init(&m);
	r = parse(text, &m, NULL);
	manifest_done(&m);
	free(text);
	return r;
}

static void test_limits(void **state)
{
	static const char name[] = F("/a") "x ", value[] = F("/a") "x user.a ";

	(void)state;
	assert_int_equal(parse_long("d 0755 root root /", 'x', 255, "\n"), 0);
	assert_int_equal(parse_long("d 0755 root root /", 'x', 256, "\n"), -EBADMSG);
	assert_int_equal(parse_long("d 0755 root root /", 'x', 4001, "\n"), -E2BIG);
	assert_int_equal(parse_long("d 0755 ", 'x', 63, " root /a\n"), 0);
	assert_int_equal(parse_long("d 0755 ", 'x', 64, " root /a\n"), -EBADMSG);
	assert_int_equal(parse_long("d 0755 root ", 'x', 63, " /a\n"), 0);
	assert_int_equal(parse_long("d 0755 root ", 'x', 64, " /a\n"), -EBADMSG);
	assert_int_equal(parse_long("l root root ", 'x', PATH_MAX - 1, " /a\n"), 0);
	assert_int_equal(parse_long("l root root ", 'x', PATH_MAX, " /a\n"), -E2BIG);
	assert_int_equal(parse_long(name, 'x', 255, " -\n"), 0);
	assert_int_equal(parse_long(name, 'x', 256, " -\n"), -E2BIG);
	assert_int_equal(parse_long(value, 'x', MANIFEST_ATTR_VALUE_MAX, "\n"), 0);
	assert_int_equal(parse_long(value, 'x', MANIFEST_ATTR_VALUE_MAX + 1, "\n"), -E2BIG);
	assert_int_equal(parse_long(value, 'x', MANIFEST_TEXT_MAX, "\n"), -E2BIG);
}

static void test_attrs_max(void **state)
{
	struct manifest m;
	struct entry e = sample_entry(MANIFEST_FILE, "/a");
	char name[24], *text;

	(void)state;
	for (int i = 0; i < MANIFEST_ATTRS_MAX; i++) {
		snprintf(name, sizeof(name), "user.%02d", i);
		sample_attr(&e, name, name, 6);
	}
	manifest_init(&m);
	assert_int_equal(manifest_add(&m, &e), 0);
	text = sample_text(&m);
	assert_int_equal(parse(text, &m, NULL), 0);
	assert_int_equal(m.attr_count, MANIFEST_ATTRS_MAX);
	free(text);
	sample_attr(&m.entries[0], "user.x", "", 0);
	text = sample_text(&m);
	assert_int_equal(parse(text, &m, NULL), -E2BIG);
	free(text);
}

static void check_digest(const struct manifest *m, const char *text)
{
	uint8_t a[MANIFEST_HASH], b[MANIFEST_HASH];

	assert_int_equal(manifest_digest(m, a), 0);
	assert_true(EVP_Digest(text, strlen(text), b, NULL, EVP_sha256(), NULL));
	assert_memory_equal(a, b, sizeof(a));
}

/* What is printed comes back as it was; random ones have files for folders, too. */
static void test_random(void **state)
{
	struct manifest m, back;
	struct changes c;
	struct err err;
	struct rnd r;
	char *text, *again;

	(void)state;
	for (uint64_t i = 0; i < 200; i++) {
		rnd_init(&r, i);
		manifest_init(&m);
		manifest_init(&back);
		sample_random(&m, &r, rnd_below(&r, 30));
		text = sample_text(&m);
		if (parse(text, &back, &err) < 0)
			fail_msg("%s", err.text);
		again = sample_text(&back);
		assert_string_equal(text, again);
		assert_int_equal(changes_between(&m, &back, &c), 0);
		assert_int_equal(c.count, 0);
		check_digest(&m, text);
		changes_done(&c);
		manifest_done(&m);
		manifest_done(&back);
		free(text);
		free(again);
	}
}

/* Whatever byte is changed, and wherever it is cut: refused, or another manifest. */
static void test_damage(void **state)
{
	struct manifest m, back;
	struct rnd r;
	char *text, *again;
	size_t len;

	(void)state;
	rnd_init(&r, 7);
	manifest_init(&m);
	manifest_init(&back);
	sample_random(&m, &r, 12);
	text = sample_text(&m);
	len = strlen(text);
	for (size_t i = 0; i < len; i++) {
		char was = text[i];

		text[i] = (char)(was ^ (1 << rnd_below(&r, 8)));
		if (manifest_parse(text, len, &back, NULL) == 0) {
			again = sample_text(&back);
			assert_memory_equal(again, text, len);
			free(again);
		}
		text[i] = was;
		if (manifest_parse(text, i, &back, NULL) == 0)
			assert_true(i == 0 || text[i - 1] == '\n');
	}
	manifest_done(&m);
	manifest_done(&back);
	free(text);
}

/* The largest there may be, and paths that begin with each other: what is quadratic never ends. */
static void test_many(void **state)
{
	struct manifest m, back;
	char path[32], *text;

	(void)state;
	manifest_init(&m);
	manifest_init(&back);
	for (int i = 0; i < MANIFEST_ENTRIES_MAX; i++) {
		struct entry e;

		snprintf(path, sizeof(path), i % 2 ? "/%05d" : "/%05d-", i / 2);
		e = sample_entry(MANIFEST_LINK, path);
		assert_int_equal(manifest_add(&m, &e), 0);
	}
	assert_int_equal(manifest_sort(&m), 0);
	text = sample_text(&m);
	assert_int_equal(parse(text, &back, NULL), 0);
	assert_int_equal(back.count, MANIFEST_ENTRIES_MAX);
	text = realloc(text, strlen(text) + 100);
	strcat(text, F("/x"));
	assert_int_equal(parse(text, &back, NULL), -E2BIG);
	free(text);
	manifest_done(&m);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_attrs_max),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
