/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fields of lines: what is written is read, and nothing else is taken. */
#include "line.h"
#include "rnd.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct line_reader on(const char *line)
{
	struct line_reader r;

	line_start(&r, line, strlen(line));
	assert_int_equal(line_next(&r), 1);
	return r;
}

static void test_lines(void **state)
{
	static const char text[] = "a b\n\nc";
	struct line_reader r;
	const char *word;
	size_t len;

	(void)state;
	line_start(&r, text, 5);
	assert_int_equal(line_next(&r), 1);
	assert_true(line_is(&r, "a"));
	assert_false(line_ended(&r));
	assert_false(line_is(&r, "a"));
	assert_true(line_is(&r, "b"));
	assert_true(line_ended(&r));
	assert_false(line_word(&r, &word, &len));
	assert_int_equal(line_next(&r), 1);
	assert_false(line_word(&r, &word, &len));
	assert_int_equal(line_next(&r), 0);
	assert_int_equal(r.number, 2);
	line_start(&r, text, sizeof(text) - 1);
	assert_int_equal(line_next(&r) + line_next(&r), 2);
	assert_int_equal(line_next(&r), -EBADMSG);
	line_start(&r, "", 0);
	assert_int_equal(line_next(&r), 0);
}

static void test_spaces(void **state)
{
	static const char *const bad[] = {" a\n", "a  b\n", "a \n", " \n", "a\n"};
	const char *word;
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct line_reader r = on(bad[i]);

		assert_false(line_word(&r, &word, &len) && line_word(&r, &word, &len));
	}
}

static void test_numbers(void **state)
{
	static const char *const bad[] = {"00\n", "01\n", "+1\n", "-1\n", "1a\n", "0x1\n",
		"18446744073709551616\n", "99999999999999999999\n", "\n", "1.0\n"};
	struct line_reader r = on("0 18446744073709551615 8 9\n");
	uint64_t n = 1;

	(void)state;
	assert_true(line_number(&r, 0, &n) && n == 0);
	assert_true(line_number(&r, UINT64_MAX, &n) && n == UINT64_MAX);
	assert_true(line_number(&r, 8, &n) && n == 8);
	assert_false(line_number(&r, 8, &n));
	assert_int_equal(n, 8);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		r = on(bad[i]);
		assert_false(line_number(&r, UINT64_MAX, &n));
	}
}

static void test_texts(void **state)
{
	static const char *const bad[] = {"%00\n", "a%00\n", "%4\n", "\n", "a\tb\n"};
	struct line_reader r = on("a%20b 123 1234\n");
	char *text, out[4];

	(void)state;
	assert_true(line_text(&r, out, sizeof(out)));
	assert_string_equal(out, "a b");
	assert_true(line_text(&r, out, sizeof(out)));
	assert_false(line_text(&r, out, sizeof(out)));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		r = on(bad[i]);
		assert_int_equal(line_text_new(&r, 100, &text), -EBADMSG);
	}
	r = on("aaaa\n");
	assert_int_equal(line_text_new(&r, 3, &text), -E2BIG);
	r = on("%20%20%20%20\n");
	assert_int_equal(line_text_new(&r, 3, &text), -E2BIG);
	r = on("aaaaaaaaaaaaaaaaaaaaa\n");
	assert_int_equal(line_text_new(&r, 3, &text), -E2BIG);
}

/* BYTES as a value, there and back; what it looks like is WANT, or NULL. */
static void check_value(const void *bytes, size_t len, const char *want)
{
	struct line_reader r;
	struct buf b;
	uint8_t *back;
	size_t back_len;

	buf_init(&b, 4096);
	line_put_value(&b, bytes, len);
	buf_put(&b, "\n", 1);
	if (want) {
		assert_int_equal(buf_len(&b), strlen(want));
		assert_memory_equal(buf_bytes(&b), want, strlen(want));
	}
	line_start(&r, (const char *)buf_bytes(&b), buf_len(&b));
	assert_int_equal(line_next(&r), 1);
	assert_int_equal(line_value_new(&r, len, &back, &back_len), 0);
	assert_true(line_ended(&r));
	assert_int_equal(back_len, len);
	assert_memory_equal(back, bytes, len);
	assert_int_equal(back[len], 0);
	free(back);
	buf_done(&b);
}

static void test_values(void **state)
{
	static const char *const bad[] = {"\n", "%2Da\n", "a%2D\n", "%2d\n", "%2D%2D\n"};
	uint8_t bytes[256], *back;
	size_t len;

	(void)state;
	check_value("", 0, "-\n");
	check_value("-", 1, "%2D\n");
	check_value("--", 2, "--\n");
	check_value("%", 1, "%25\n");
	check_value("\0", 1, "%00\n");
	check_value("\0-\xff", 3, "%00-%FF\n");
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	check_value(bytes, sizeof(bytes), NULL);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct line_reader r = on(bad[i]);

		assert_int_equal(line_value_new(&r, 100, &back, &len), -EBADMSG);
	}
}

static void test_random_values(void **state)
{
	uint8_t bytes[64];
	struct rnd r;

	(void)state;
	rnd_init(&r, 1);
	for (int i = 0; i < 5000; i++) {
		size_t len = rnd_below(&r, sizeof(bytes));

		rnd_fill(&r, bytes, len);
		check_value(bytes, len, NULL);
	}
}

static void test_no_room(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 5);
	line_put_text(&b, "a ");
	assert_int_equal(buf_len(&b), 4);
	line_put_number(&b, 1);
	assert_false(buf_failed(&b));
	line_put_text(&b, "");
	assert_false(buf_failed(&b));
	line_put_text(&b, "a");
	assert_true(buf_failed(&b));
	buf_done(&b);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_spaces),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_random_values),
		cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
