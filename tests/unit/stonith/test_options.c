/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Command lines of xnbd-stonith: what goes with what, and the status of those that make no sense.
 */
#include "options.h"

#include "util.h"
#include "words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int parse(const char *words, struct options *o, int *ret_usage)
{
	struct err err = {0};
	struct words w;
	int ret;

	words_split(&w, "xnbd-stonith", words);
	ret = options_parse(o, w.argc, w.argv, &err);
	assert_true((ret < 0) == (err.text[0] != 0));
	*ret_usage = options_usage_status(w.argc, w.argv);
	return ret;
}

static void test_good(void **state)
{
	static const struct {
		const char *words;
		enum options_command command;
	} rows[] = {
		{"off n1", OPTIONS_OFF},
		{"on n1 --force", OPTIONS_ON},
		{"reboot -d 20 -r why n1", OPTIONS_REBOOT},
		{"--json status n1", OPTIONS_STATUS},
		{"list", OPTIONS_LIST},
		{"verify-map", OPTIONS_VERIFY_MAP},
		{"verify-map n1 --deadline=5", OPTIONS_VERIFY_MAP},
		{"audit -n 0", OPTIONS_AUDIT},
		{"audit file --known=00", OPTIONS_AUDIT},
		{"audit old file", OPTIONS_AUDIT},
		{"confirm n1 --on --minutes=5 --reason=x", OPTIONS_CONFIRM},
	};
	struct options o;
	int usage;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(parse(rows[i].words, &o, &usage), 0);
		assert_int_equal(o.command, rows[i].command);
	}
	assert_int_equal(parse("confirm n1", &o, &usage), 0);
	assert_int_equal(o.minutes, 10);
	assert_int_equal(o.lines, 10);
	assert_int_equal(o.deadline, 0);
	assert_string_equal(o.config, "/etc/xnbd/stonith.conf");
	assert_int_equal(parse("audit old file -n 3", &o, &usage), 0);
	assert_int_equal(o.operand_count, 2);
	assert_string_equal(o.operands[1], "file");
	assert_int_equal(parse("audit", &o, &usage), 0);
	assert_null(o.operand);
	assert_int_equal(parse("--proxy n2 -c x", &o, &usage), 0);
	assert_string_equal(o.proxy, "n2");
	assert_int_equal(parse("--help off", &o, &usage), 0);
	assert_true(o.help);
}

static void test_bad(void **state)
{
	static const char *const rows[] = {"", "off", "offf n1", "off n1 n2", "list n1",
		"off n1 --force", "on n1 --on", "list --deadline=3", "off n1 --known=0",
		"status n1 --reason=x", "verify-map --minutes=3", "off n1 --lines=3",
		"confirm n1 --minutes=0", "confirm n1 --deadline=2", "off n1 --deadline=0",
		"--proxy n2 off n1", "audit --withdraw", "--bogus", "confirm", "reboot"};
	struct options o;
	int usage;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_not_equal(parse(rows[i], &o, &usage), 0);
		/* "off", to who asked for a status */
		assert_int_equal(usage, strstr(rows[i], "status") ? 1 : 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
