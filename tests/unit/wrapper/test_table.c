/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tables: widths by content and by characters, foreign bytes, and how numbers look. */
#include "table.h"

#include "util.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct table_column columns[] = {{"NAME", TABLE_LEFT}, {"N", TABLE_RIGHT}};

/* What is printed; the caller's to free. */
static char *printed(const struct table *t)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	table_print(t, out);
	fclose(out);
	return text;
}

static void assert_rows(
	const char *const *names, const uint64_t *numbers, size_t count, const char *want)
{
	struct table t;
	char *text;

	table_init(&t, columns, ARRAY_LEN(columns));
	for (size_t i = 0; i < count; i++) {
		table_add(&t, names[i]);
		table_add_number(&t, numbers[i]);
	}
	text = printed(&t);
	assert_string_equal(text, want);
	free(text);
	table_done(&t);
}

static void test_widths(void **state)
{
	(void)state;
	assert_rows(NULL, NULL, 0, "NAME  N\n");
	assert_rows((const char *[]){"a", "longer"}, (uint64_t[]){1, 12345}, 2,
		"NAME        N\na           1\nlonger  12345\n");
}

static void test_characters(void **state)
{
	(void)state;
	assert_rows((const char *[]){"b\xc3\xa4r", "\xe7\xa3\x81\xe7\x9b\x98", "abcde"},
		(uint64_t[]){1, 2, 3}, 3,
		"NAME   N\nb\xc3\xa4r    1\n\xe7\xa3\x81\xe7\x9b\x98   2\nabcde  3\n");
}

static void test_foreign_bytes(void **state)
{
	(void)state;
	assert_rows((const char *[]){"a\x1b[31m\n", "\xff"}, (uint64_t[]){1, 2}, 2,
		"NAME           N\na\\x1b[31m\\x0a  1\n\\xff           2\n");
}

static const struct {
	uint64_t n;
	const char *bytes, *time, *rate;
} looks[] = {
	{0, "0", "0 us", "0"},
	{9, "9", "9 us", "9.0"},
	{999, "999", "999 us", "999"},
	{1023, "1023", "1.02 ms", "1023"},
	{1024, "1.0K", "1.02 ms", "1024"},
	{123456, "120.6K", "123 ms", "123k"},
	{1048575, "1.0M", "1.05 s", "1049k"},
	{UINT64_MAX, "16.0E", "18446744073709.55 s", "18446744073709552k"},
};

static void test_numbers(void **state)
{
	static const struct table_column three[] = {
		{"B", TABLE_RIGHT}, {"T", TABLE_RIGHT}, {"R", TABLE_RIGHT}};
	struct table t;

	(void)state;
	table_init(&t, three, ARRAY_LEN(three));
	for (size_t i = 0; i < ARRAY_LEN(looks); i++) {
		table_add_bytes(&t, looks[i].n);
		table_add_time(&t, looks[i].n);
		table_add_rate(&t, (double)looks[i].n);
		assert_string_equal(t.cells[3 * i], looks[i].bytes);
		assert_string_equal(t.cells[3 * i + 1], looks[i].time);
		assert_string_equal(t.cells[3 * i + 2], looks[i].rate);
	}
	table_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_widths),
		cmocka_unit_test(test_characters),
		cmocka_unit_test(test_foreign_bytes),
		cmocka_unit_test(test_numbers),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
