/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers and units to the edge of 64 bits, UTF-8 exhaustively where it is small, and that no
 * printable form ever leaves its room or cuts a character.
 */
#include "rnd.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct number_row {
	const char *text;
	uint64_t min, max;
	int ret;
	uint64_t value;
};

static void test_number(void **state)
{
	static const struct number_row rows[] = {
		{"0", 0, 9, 0, 0},
		{"007", 0, 9, 0, 7},
		{"18446744073709551615", 0, UINT64_MAX, 0, UINT64_MAX},
		{"18446744073709551616", 0, UINT64_MAX, -ERANGE, 0},
		{"99999999999999999999999", 0, UINT64_MAX, -ERANGE, 0},
		{"5", 5, 5, 0, 5},
		{"4", 5, 6, -ERANGE, 0},
		{"7", 5, 6, -ERANGE, 0},
		{"", 0, 9, -EINVAL, 0},
		{"-1", 0, 9, -EINVAL, 0},
		{"+1", 0, 9, -EINVAL, 0},
		{" 1", 0, 9, -EINVAL, 0},
		{"1 ", 0, 9, -EINVAL, 0},
		{"0x1", 0, 9, -EINVAL, 0},
		{"1k", 0, 9, -EINVAL, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t value = 77;

		assert_int_equal(
			str_number(rows[i].text, rows[i].min, rows[i].max, &value), rows[i].ret);
		assert_int_equal(value, rows[i].ret ? 77 : rows[i].value);
	}
}

static void test_size(void **state)
{
	static const struct number_row rows[] = {
		{"10", 0, 99, 0, 10},
		{"1K", 0, UINT64_MAX, 0, 1024},
		{"2k", 0, UINT64_MAX, 0, 2048},
		{"3M", 0, UINT64_MAX, 0, 3 << 20},
		{"1G", 0, UINT64_MAX, 0, 1 << 30},
		{"5t", 0, UINT64_MAX, 0, 5ULL << 40},
		{"16777215T", 0, UINT64_MAX, 0, 16777215ULL << 40},
		{"16777216T", 0, UINT64_MAX, -ERANGE, 0},
		{"18014398509481984K", 0, UINT64_MAX, -ERANGE, 0},
		{"0T", 0, 9, 0, 0},
		{"2K", 0, 2047, -ERANGE, 0},
		{"1P", 0, UINT64_MAX, -EINVAL, 0},
		{"1KB", 0, UINT64_MAX, -EINVAL, 0},
		{"K", 0, UINT64_MAX, -EINVAL, 0},
		{"", 0, UINT64_MAX, -EINVAL, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t value = 77;

		assert_int_equal(
			str_size(rows[i].text, rows[i].min, rows[i].max, &value), rows[i].ret);
		assert_int_equal(value, rows[i].ret ? 77 : rows[i].value);
	}
}

static size_t encode(uint32_t c, char *p)
{
	if (c < 0x80)
		return p[0] = (char)c, 1;
	if (c < 0x800)
		return p[0] = (char)(0xc0 | c >> 6), p[1] = (char)(0x80 | (c & 0x3f)), 2;
	if (c < 0x10000) {
		p[0] = (char)(0xe0 | c >> 12);
		p[1] = (char)(0x80 | (c >> 6 & 0x3f));
		p[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	p[0] = (char)(0xf0 | c >> 18);
	p[1] = (char)(0x80 | (c >> 12 & 0x3f));
	p[2] = (char)(0x80 | (c >> 6 & 0x3f));
	p[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* Every code point: valid whole, invalid when cut; nothing above U+10FFFF, no surrogates. */
static void test_utf8_every_character(void **state)
{
	char p[4];

	(void)state;
	for (uint32_t c = 0; c < 0x1fffff; c++) {
		size_t len = encode(c, p);
		bool valid = c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);

		if (str_is_utf8(p, len) != valid)
			fail_msg("U+%X: valid %d", c, !valid);
		if (len > 1 && str_is_utf8(p, len - 1))
			fail_msg("U+%X: valid although cut", c);
	}
}

static void test_utf8_malformed(void **state)
{
	static const char *const bad[] = {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80",
		"\xe0\x9f\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80", "\xfe", "\xff", "\xc3(", "\xe2(\xa1", "\xe2\x82(", "ok\xe2\x82",
		"\xf0\x9f\x98(", "\xc3\xa9\x80"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(str_is_utf8(bad[i], strlen(bad[i])));
	assert_true(str_is_utf8("", 0));
	assert_true(str_is_utf8("a\0b", 3));
	assert_true(str_is_utf8("gr\xc3\xbc\xc3\x9f\x65 \xf0\x9f\x98\x80", 12));
}

static void test_printable(void **state)
{
	static const struct {
		const char *in;
		size_t len;
		const char *out;
	} rows[] = {
		{"plain text", 10, "plain text"},
		{"a\nb\tc\r", 6, "a\\x0ab\\x09c\\x0d"},
		{"\0", 1, "\\x00"},
		{"\x1b[31m", 5, "\\x1b[31m"},
		{"\x7f", 1, "\\x7f"},
		{"\xc2\x9b", 2, "\\xc2\\x9b"},
		{"\xc3\xa9\xff", 3, "\xc3\xa9\\xff"},
		{"\xe2\x82", 2, "\\xe2\\x82"},
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		str_printable(out, sizeof(out), rows[i].in, rows[i].len);
		assert_string_equal(out, rows[i].out);
	}
}

static void test_printable_room(void **state)
{
	char out[8];

	(void)state;
	str_printable(out, 1, "abc", 3);
	assert_string_equal(out, "");
	str_printable(out, 3, "abc", 3);
	assert_string_equal(out, "ab");
	str_printable(out, 4, "abc", 3);
	assert_string_equal(out, "abc");
	str_printable(out, 5, "ab\n", 3); /* an escape is never cut */
	assert_string_equal(out, "ab");
	str_printable(out, 3, "a\xe2\x82\xac", 4); /* nor a character */
	assert_string_equal(out, "a");
	str_printable(out, 5, "a\xe2\x82\xac", 4);
	assert_string_equal(out, "a\xe2\x82\xac");
}

static void test_printable_random(void **state)
{
	struct rnd rnd;
	char in[64], *out;

	(void)state;
	rnd_init(&rnd, 1);
	for (int round = 0; round < 20000; round++) {
		size_t len = rnd_below(&rnd, sizeof(in)), room = 1 + rnd_below(&rnd, 80);

		rnd_fill(&rnd, in, len);
		out = malloc(room);
		assert_non_null(out);
		str_printable(out, room, in, len);
		assert_true(strnlen(out, room) < room);
		assert_true(str_is_utf8(out, strlen(out)));
		for (const char *p = out; *p; p++)
			assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
		free(out);
	}
}

static void test_uri_escape(void **state)
{
	char out[16];

	(void)state;
	assert_true(str_uri_escape(out, sizeof(out), "/a-b_c.d~E9"));
	assert_string_equal(out, "/a-b_c.d~E9");
	assert_true(str_uri_escape(out, sizeof(out), "a b?\xc3\xa9"));
	assert_string_equal(out, "a%20b%3F%C3%A9");
	assert_true(str_uri_escape(out, 4, " "));
	assert_false(str_uri_escape(out, 3, " "));
	assert_true(str_uri_escape(out, 4, "abc"));
	assert_false(str_uri_escape(out, 3, "abc"));
}

static void test_base_name(void **state)
{
	(void)state;
	assert_string_equal(str_base_name("/a/b"), "b");
	assert_string_equal(str_base_name("b"), "b");
	assert_string_equal(str_base_name("a/"), "");
	assert_string_equal(str_base_name(""), "");
}

static size_t distance(const char *a, const char *b)
{
	assert_int_equal(
		str_distance(a, strlen(a), b, strlen(b)), str_distance(b, strlen(b), a, strlen(a)));
	return str_distance(a, strlen(a), b, strlen(b));
}

static void test_distance(void **state)
{
	char most[STR_DISTANCE_MAX + 2];

	(void)state;
	assert_int_equal(distance("", ""), 0);
	assert_int_equal(distance("", "abc"), 3);
	assert_int_equal(distance("image", "image"), 0);
	assert_int_equal(distance("imag", "image"), 1);
	assert_int_equal(distance("lissten", "listen"), 1);
	assert_int_equal(distance("kitten", "sitting"), 3);
	assert_int_equal(distance("ab", "ba"), 2);
	memset(most, 'x', sizeof(most));
	assert_int_equal(str_distance(most, STR_DISTANCE_MAX, "", 0), STR_DISTANCE_MAX);
	assert_int_equal(str_distance(most, STR_DISTANCE_MAX, most, STR_DISTANCE_MAX), 0);
	assert_int_equal(str_distance(most, sizeof(most), most, sizeof(most)), STR_DISTANCE_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_utf8_every_character),
		cmocka_unit_test(test_utf8_malformed),
		cmocka_unit_test(test_printable),
		cmocka_unit_test(test_printable_room),
		cmocka_unit_test(test_printable_random),
		cmocka_unit_test(test_uri_escape),
		cmocka_unit_test(test_base_name),
		cmocka_unit_test(test_distance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
