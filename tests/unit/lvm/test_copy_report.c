/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The progress bar: never wider than its terminal, whatever the figures. */
#include "copy_report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_bar(void **state)
{
	static const struct copy_progress some[] = {{0, 0, 0, UINT64_MAX, false},
		{1000, 500, 1000000, 3661, false}, {1000, 1000, 0, 0, true},
		{INT64_MAX, INT64_MAX, UINT64_MAX, UINT64_MAX - 1, true}};
	char line[COPY_REPORT_LINE];

	(void)state;
	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		for (unsigned width = 1; width < 300; width++) {
			copy_report_bar(&some[i], width, line);
			assert_true(strlen(line) < width);
		}
	}
	copy_report_bar(&some[1], 80, line);
	assert_non_null(strstr(line, " 50.0%"));
	assert_non_null(strstr(line, "1.0 MB/s"));
	assert_non_null(strstr(line, "1:01:01 left"));
	assert_int_equal(line[0], '[');
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_bar)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
