/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The option table: every kind of row, abbreviations, permutation, and each refusal with the
 * words the user sees.
 */
#include "opt.h"

#include "check.h"
#include "child.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { ARGS_MAX = 80, MODE_ONE = 1, MODE_TWO = 2 };

struct target {
	bool verbose, readonly;
	const char *log;
	struct opt_list listen;
	uint64_t threads, size;
	int mode;
};

static const struct opt rows[] = {
	{"verbose", 'v', OPT_FLAG, offsetof(struct target, verbose), NULL, 0, 0, "say more"},
	{"readonly", 0, OPT_FLAG, offsetof(struct target, readonly), NULL, 0, 0, "no writes"},
	{"logpath", 'L', OPT_TEXT, offsetof(struct target, log), "FILE", 0, 0, "log to FILE"},
	{"listen", 'l', OPT_LIST, offsetof(struct target, listen), "ADDRESS", 0, 0, "listen there"},
	{"threads", 't', OPT_NUMBER, offsetof(struct target, threads), "N", 1, 64, "threads"},
	{"size", 's', OPT_SIZE, offsetof(struct target, size), "SIZE", 512, 1 << 20, "size"},
	{"target", 0, OPT_SET, offsetof(struct target, mode), NULL, MODE_ONE, 0, "one mode"},
	{"target-cow", 0, OPT_SET, offsetof(struct target, mode), "FILE", MODE_TWO, 0, "another"},
	{"gzip", 'z', OPT_LATER, 0, NULL, 0, 0, "compress"},
	{"internal", 0, OPT_FLAG, offsetof(struct target, readonly), NULL, 0, 0, NULL},
};

static const struct opt_set set = {"prog [options] FILE", "Does things.", rows, ARRAY_LEN(rows)};

static struct target target;
static struct err err;
static char *args[ARGS_MAX];
static char words[1024];
static int rest;

/* Splits LINE at spaces ('_' stands for an empty word) and parses it. */
static int parse(const char *line)
{
	int count = 0;

	memset(&target, 0, sizeof(target));
	memset(&err, 0, sizeof(err));
	snprintf(words, sizeof(words), "prog %s", line);
	for (char *p = strtok(words, " "); p; p = strtok(NULL, " "))
		args[count++] = *p == '_' ? p + 1 : p;
	args[count] = NULL;
	rest = -1;
	return opt_parse(&set, count, args, &target, &rest, &err);
}

static void test_every_kind(void **state)
{
	(void)state;
	assert_int_equal(parse("-v --readonly --logpath /x -l a --listen=b -lc -t 64 --size 4K"
			       " --target-cow file"),
		0);
	assert_true(target.verbose && target.readonly);
	assert_string_equal(target.log, "/x");
	assert_int_equal(target.listen.count, 3);
	assert_string_equal(target.listen.items[0], "a");
	assert_string_equal(target.listen.items[1], "b");
	assert_string_equal(target.listen.items[2], "c");
	assert_int_equal(target.threads, 64);
	assert_int_equal(target.size, 4096);
	assert_int_equal(target.mode, MODE_TWO); /* its FILE is an operand */
	assert_string_equal(args[rest], "file");
	assert_int_equal(err.code, 0);
}

static void test_nothing_given(void **state)
{
	(void)state;
	assert_int_equal(parse(""), 0);
	assert_int_equal(rest, 1);
	assert_int_equal(target.mode, 0);
	assert_null(target.log);
}

static void test_abbreviations(void **state)
{
	(void)state;
	assert_int_equal(parse("--verb --r --log=x --th 2"), 0);
	assert_true(target.verbose && target.readonly);
	assert_string_equal(target.log, "x");
	assert_int_equal(target.threads, 2);
	assert_int_equal(parse("--target"), 0); /* exact, though a beginning of target-cow */
	assert_int_equal(target.mode, MODE_ONE);
	assert_int_equal(parse("--target-"), 0);
	assert_int_equal(target.mode, MODE_TWO);
}

static void test_permutation(void **state)
{
	(void)state;
	assert_int_equal(parse("one -v two --readonly three"), 0);
	assert_true(target.verbose && target.readonly);
	assert_int_equal(rest, 3);
	assert_string_equal(args[3], "one");
	assert_string_equal(args[4], "two");
	assert_string_equal(args[5], "three");
	assert_int_equal(parse("-v -- --readonly"), 0);
	assert_false(target.readonly);
	assert_string_equal(args[rest], "--readonly");
}

static void test_letters_together(void **state)
{
	(void)state;
	assert_int_equal(parse("-vt8 -vLfile"), 0);
	assert_true(target.verbose);
	assert_int_equal(target.threads, 8);
	assert_string_equal(target.log, "file");
	assert_int_equal(parse("-L _"), 0); /* an empty argument is an argument */
	assert_string_equal(target.log, "");
}

static void test_choices(void **state)
{
	(void)state;
	assert_int_equal(parse("--target --target"), 0);
	assert_int_equal(parse("--target --target-cow"), -EINVAL);
	assert_string_equal(
		err.text, "--target-cow: excludes another option already given; choose one");
	assert_int_equal(parse("--target-cow --target"), -EINVAL);
	assert_string_equal(
		err.text, "--target: excludes another option already given; choose one");
}

static void test_refusals(void **state)
{
	static const struct {
		const char *line;
		int ret;
		const char *text;
	} bad[] = {
		{"--nonsense", -EINVAL, "--nonsense: unknown or ambiguous option (see --help)"},
		{"--l", -EINVAL, "--l: unknown or ambiguous option (see --help)"},
		{"-x", -EINVAL, "-x: unknown option (see --help)"},
		{"-vx", -EINVAL, "-x: unknown option (see --help)"},
		{"--verbose=1", -EINVAL, "--verbose=1: takes no argument (see --help)"},
		{"--target=1", -EINVAL, "--target=1: takes no argument (see --help)"},
		{"--logpath", -EINVAL, "--logpath: an argument is missing (see --help)"},
		{"file -L", -EINVAL, "-L: an argument is missing (see --help)"},
		{"-vL", -EINVAL, "-vL: an argument is missing (see --help)"},
		{"-t 0", -EINVAL, "--threads 0: not a number from 1 to 64"},
		{"-t 65", -EINVAL, "--threads 65: not a number from 1 to 64"},
		{"--threads=-1", -EINVAL, "--threads -1: not a number from 1 to 64"},
		{"-t 1K", -EINVAL, "--threads 1K: not a number from 1 to 64"},
		{"--thr _", -EINVAL, "--threads : not a number from 1 to 64"},
		{"-s 511", -EINVAL,
			"--size 511: not a size (units K, M, G, T) from 512 to 1048576"},
		{"-s 2M", -EINVAL, "--size 2M: not a size (units K, M, G, T) from 512 to 1048576"},
		{"--gzip", -ENOSYS, "--gzip is not built yet in this version"},
		{"-z", -ENOSYS, "--gzip is not built yet in this version"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(parse(bad[i].line), bad[i].ret);
		assert_string_equal(err.text, bad[i].text);
		assert_int_equal(err.code, -bad[i].ret);
		assert_int_equal(rest, -1);
	}
}

static void test_list_is_bounded(void **state)
{
	char line[1024] = "";

	(void)state;
	for (int i = 0; i < OPT_LIST_MAX; i++)
		strcat(line, "-lx ");
	assert_int_equal(parse(line), 0);
	assert_int_equal(target.listen.count, OPT_LIST_MAX);
	strcat(line, "-lx");
	assert_int_equal(parse(line), -EINVAL);
	assert_string_equal(err.text, "--listen: given more than 64 times");
}

static void test_help(void **state)
{
	char text[4096] = "";
	FILE *f = tmpfile();
	int saved = dup(STDOUT_FILENO);

	(void)state;
	assert_non_null(f);
	fflush(stdout);
	dup2(fileno(f), STDOUT_FILENO);
	opt_help(&set);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	rewind(f);
	assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
	fclose(f);
	assert_non_null(strstr(text, "Usage: prog [options] FILE\n\nDoes things.\n"));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char want[64];

		snprintf(want, sizeof(want), "--%s ", rows[i].name);
		assert_int_equal(strstr(text, want) != NULL, rows[i].help != NULL);
	}
	assert_non_null(strstr(text, "-L, --logpath FILE "));
}

static void no_room_for_it(void)
{
	CHECK(freopen("/dev/full", "w", stdout));
	puts("the answer");
	_exit(opt_answered(0, 5));
}

static void no_room_after_a_failure(void)
{
	CHECK(freopen("/dev/full", "w", stdout));
	puts("the answer");
	_exit(opt_answered(3, 5));
}

static void test_answered(void **state)
{
	(void)state;
	assert_int_equal(opt_answered(0, 5), 0);
	assert_int_equal(opt_answered(3, 5), 3);
	assert_int_equal(child_run(no_room_for_it), 5);
	assert_int_equal(child_run(no_room_after_a_failure), 3);
}

static void test_command(void **state)
{
	static const struct {
		const char *name;
		unsigned more;
	} table[] = {{"run", 1}, {"status", 2}};

	(void)state;
	assert_int_equal(opt_command(table, sizeof(*table), 2, "run", &err), 0);
	assert_int_equal(opt_command(table, sizeof(*table), 2, "status", &err), 1);
	assert_int_equal(opt_command(table, sizeof(*table), 2, "stat", &err), -EINVAL);
	assert_string_equal(err.text, "'stat': no such command (see --help)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind),
		cmocka_unit_test(test_nothing_given),
		cmocka_unit_test(test_abbreviations),
		cmocka_unit_test(test_permutation),
		cmocka_unit_test(test_letters_together),
		cmocka_unit_test(test_choices),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_list_is_bounded),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_answered),
		cmocka_unit_test(test_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
