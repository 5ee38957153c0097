/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Command lines of xnbd-confsync: what goes with what, and the status of those that make no sense.
 */
#include "options.h"

#include "util.h"
#include "words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { NAGIOS_UNKNOWN = 3 };

/* O points into WORDS. */
static int parse(const char *command, struct words *words, struct options *o, int *ret_usage)
{
	struct err err = {0};
	int ret;

	words_split(words, "xnbd-confsync", command);
	ret = options_parse(o, words->argc, words->argv, &err);
	assert_true((ret < 0) == (err.text[0] != 0));
	*ret_usage = options_usage_status(words->argc, words->argv);
	return ret;
}

static void test_good(void **state)
{
	static const struct {
		const char *words;
		enum options_command command;
		size_t operands;
	} rows[] = {
		{"status", OPTIONS_STATUS, 0},
		{"status a b --peer", OPTIONS_STATUS, 2},
		{"--json --precondition status", OPTIONS_STATUS, 0},
		{"sync -n", OPTIONS_SYNC, 0},
		{"push --from-here a", OPTIONS_PUSH, 1},
		{"pull -t 5 a b", OPTIONS_PULL, 2},
		{"diff -g 3 a", OPTIONS_DIFF, 1},
		{"hold", OPTIONS_HOLD, 0},
		{"hold add a b", OPTIONS_HOLD, 3},
		{"resolve a --mine", OPTIONS_RESOLVE, 1},
		{"resolve --theirs --theirs a", OPTIONS_RESOLVE, 1},
		{"history a", OPTIONS_HISTORY, 1},
		{"rollback a 3", OPTIONS_ROLLBACK, 2},
		{"show a", OPTIONS_SHOW, 1},
		{"show a 3", OPTIONS_SHOW, 2},
		{"cat a 3 /etc/x --secret", OPTIONS_CAT, 3},
		{"check", OPTIONS_CHECK, 0},
		{"recover -q", OPTIONS_RECOVER, 0},
		{"init --json", OPTIONS_INIT, 0},
		{"import-list - -r0 -s web", OPTIONS_IMPORT_LIST, 1},
		{"fenced n2", OPTIONS_FENCED, 1},
		{"daemon -c x", OPTIONS_DAEMON, 0},
	};
	struct words words;
	struct options o;
	int usage;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(parse(rows[i].words, &words, &o, &usage), 0);
		assert_int_equal(o.command, rows[i].command);
		assert_int_equal(o.operand_count, rows[i].operands);
	}
	assert_int_equal(parse("resolve a --theirs", &words, &o, &usage), 0);
	assert_int_equal(o.side, OPTIONS_THEIRS);
	assert_int_equal(parse("--serve n2 -c x", &words, &o, &usage), 0);
	assert_string_equal(o.serve, "n2");
	assert_int_equal(parse("--help nonsense", &words, &o, &usage), 0);
}

static void test_bad(void **state)
{
	static const char *const rows[] = {"", "statu", "resolve a", "resolve --mine",
		"resolve a b --mine", "resolve a --mine --theirs", "history", "history a b",
		"rollback a", "rollback a 1 2", "show", "cat a 1", "init x", "check a", "daemon a",
		"fenced", "fenced a b", "import-list", "import-list a b", "status --dry-run",
		"sync --from-here", "push --mine", "push -g 1", "diff --peer", "push --peer",
		"status --secret", "push --set x", "cat a 1 /x --json", "status --nagios --json",
		"status --nagios --precondition", "status --precondition --peer", "push -t 0",
		"--serve n2 status", "--serve", "import-list x -r --skip-folders", "history a -t 3",
		"push --nagios", "status --what"};
	struct words words;
	struct options o;
	int usage;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(parse(rows[i], &words, &o, &usage) < 0);
		assert_int_equal(usage, strstr(rows[i], "--nagios") ? NAGIOS_UNKNOWN : 2);
	}
}

/* Each command has a name of its own. */
static void test_names(void **state)
{
	(void)state;
	for (unsigned i = 0; i < OPTIONS_COMMANDS; i++) {
		const char *name = options_command_name((enum options_command)i);

		assert_non_null(strstr(options_set.usage, name));
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(
				name, options_command_name((enum options_command)k));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
