/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Agreed features and their text: all combinations there and back, and what is no such text. */
#include "feature.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_all_combinations(void **state)
{
	static const struct {
		struct features f;
		const char *text;
	} rows[] = {
		{{false, false, false}, "simple"},
		{{true, false, false}, "structured"},
		{{true, true, false}, "structured,extended"},
		{{true, false, true}, "structured,base:allocation"},
		{{true, true, true}, "structured,extended,base:allocation"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[FEATURE_TEXT_MAX];
		struct features f;

		memset(&f, 0xff, sizeof(f));
		feature_format(&rows[i].f, text);
		assert_string_equal(text, rows[i].text);
		assert_int_equal(feature_parse(text, &f, NULL), 0);
		assert_memory_equal(&f, &rows[i].f, sizeof(f));
	}
}

static void test_other_spellings(void **state)
{
	struct features f;

	(void)state;
	assert_int_equal(feature_parse("base:allocation,extended,structured", &f, NULL), 0);
	assert_true(f.structured && f.extended && f.allocation);
	assert_int_equal(feature_parse("structured,structured", &f, NULL), 0);
	assert_true(f.structured && !f.extended && !f.allocation);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {"", ",", "structured,", ",structured", "structure",
		"structuredx", "Structured", "simple ", "base:", "structured,,extended", "sr"};
	struct features f = {true, true, true};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		err.code = 0;
		assert_int_equal(feature_parse(bad[i], &f, &err), -EINVAL);
		assert_int_equal(err.code, EINVAL);
		assert_non_null(strstr(err.text, "is none of simple, structured, extended"));
	}
	assert_int_equal(feature_parse("extended", &f, &err), -EINVAL);
	assert_non_null(strstr(err.text, "need structured"));
	assert_int_equal(feature_parse("simple,base:allocation", &f, &err), -EINVAL);
	assert_non_null(strstr(err.text, "need structured"));
	assert_true(f.structured && f.extended && f.allocation); /* untouched */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_combinations),
		cmocka_unit_test(test_other_spellings),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
