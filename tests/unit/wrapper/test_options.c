/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command lines of xnbd-wrapper and xnbd-wrapper-ctl: each row of their tables as its kind
 * demands, where the values go, what is refused, and the help.
 */
#include "options.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { ARGS_MAX = 40, HELP_COLUMNS = 110, HELP_LEFT = 38 };

/* Either target. */
union target {
	struct wrapper_options wrapper;
	struct ctl_options ctl;
	char bytes[sizeof(struct wrapper_options)];
};

static union target target;
static struct err err;
static int operands;

static const struct opt_set *const sets[] = {&wrapper_option_set, &ctl_option_set};

/* Splits LINE at blanks and parses it into `target`. */
static int parse_more(const struct opt_set *set, const char *line)
{
	static char name[] = "program", copy[512];
	char *argv[ARGS_MAX] = {name}, *save = NULL;
	int argc = 1, rest = 0, ret;

	strcpy(copy, line);
	for (char *p = strtok_r(copy, " ", &save); p; p = strtok_r(NULL, " ", &save))
		argv[argc++] = p;
	err = (struct err){0};
	ret = opt_parse(set, argc, argv, &target, &rest, &err);
	operands = argc - rest;
	return ret;
}

static int parse(const struct opt_set *set, const char *line)
{
	memset(&target, 0, sizeof(target));
	return parse_more(set, line);
}

static int parse_wrapper(const char *line)
{
	int ret;

	wrapper_options_default(&target.wrapper);
	ret = parse_more(&wrapper_option_set, line);
	return ret < 0 ? ret : wrapper_options_check(&target.wrapper, operands, &err);
}

/* "--name VALUE" or, by its letter, "-n VALUE". */
static int parse_row(
	const struct opt_set *set, const struct opt *row, bool by_letter, const char *value)
{
	char line[256], letter[3] = {'-', row->letter};

	snprintf(line, sizeof(line), "%s%s %s", by_letter ? "" : "--",
		by_letter ? letter : row->name, value);
	return parse(set, line);
}

static void check_number(const struct opt_set *set, const struct opt *row, uint64_t *field)
{
	char text[32], range[80];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)row->min);
	assert_int_equal(parse_row(set, row, false, text), 0);
	assert_true(*field == row->min);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)row->max);
	assert_int_equal(parse_row(set, row, row->letter, text), 0);
	assert_true(*field == row->max);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)row->max + 1);
	assert_int_equal(parse_row(set, row, false, text), -EINVAL);
	snprintf(range, sizeof(range), "from %llu to %llu", (unsigned long long)row->min,
		(unsigned long long)row->max);
	assert_non_null(strstr(err.text, range));
	assert_non_null(strstr(err.text, row->name));
	assert_int_equal(parse_row(set, row, false, "-1"), -EINVAL);
	assert_int_equal(parse_row(set, row, false, "nine"), -EINVAL);
	if (row->min > 0)
		assert_int_equal(parse_row(set, row, false, "0"), -EINVAL);
	if (row->kind == OPT_SIZE) {
		assert_int_equal(parse_row(set, row, false, "3m"), 0);
		assert_true(*field == 3 << 20);
	}
}

static void check_row(const struct opt_set *set, const struct opt *row, bool by_letter)
{
	void *field = target.bytes + row->offset;
	int ret = parse_row(set, row, by_letter,
		row->kind == OPT_TEXT || row->kind == OPT_LIST ? "VALUE"
			: row->kind == OPT_NUMBER              ? "1"
							       : "");

	switch (row->kind) {
	case OPT_FLAG:
		assert_true(*(bool *)field);
		break;
	case OPT_TEXT:
		assert_string_equal(*(const char **)field, "VALUE");
		break;
	case OPT_LIST:
		assert_int_equal(((struct opt_list *)field)->count, 1);
		assert_string_equal(((struct opt_list *)field)->items[0], "VALUE");
		break;
	case OPT_NUMBER:
	case OPT_SIZE:
		check_number(set, row, field);
		return;
	case OPT_SET:
		assert_int_equal(*(int *)field, row->min);
		break;
	case OPT_LATER:
		fail();
	}
	assert_int_equal(ret, 0);
	assert_int_equal(operands, 0);
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
		for (size_t k = 0; k < sets[i]->count; k++) {
			const struct opt *row = &sets[i]->rows[k];

			if (row->kind == OPT_LATER)
				continue;
			check_row(sets[i], row, false);
			if (row->letter)
				check_row(sets[i], row, true);
		}
	}
}

static void test_no_name_twice(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
		const struct opt *rows = sets[i]->rows;

		for (size_t k = 0; k < sets[i]->count; k++) {
			for (size_t m = k + 1; m < sets[i]->count; m++) {
				assert_string_not_equal(rows[k].name, rows[m].name);
				if (rows[k].letter)
					assert_int_not_equal(rows[k].letter, rows[m].letter);
			}
		}
	}
}

/* The whole of --help, which goes to stdout. */
static void read_help(const struct opt_set *set, char *out, size_t room)
{
	FILE *f = tmpfile();
	int old = dup(STDOUT_FILENO);
	size_t n;

	assert_true(f && old >= 0);
	fflush(stdout);
	dup2(fileno(f), STDOUT_FILENO);
	opt_help(set);
	fflush(stdout);
	dup2(old, STDOUT_FILENO);
	close(old);
	rewind(f);
	n = fread(out, 1, room - 1, f);
	out[n] = 0;
	fclose(f);
	assert_true(n < room - 1);
}

/* Each row whole: letter, name, argument, and its words from the same column on. */
static void check_help_row(const char *help, const struct opt *row)
{
	char left[128], want[512];
	int len = snprintf(left, sizeof(left), "  %c%c%s --%s%s%s", row->letter ? '-' : ' ',
		row->letter ? row->letter : ' ', row->letter ? "," : " ", row->name,
		row->arg ? " " : "", row->arg ? row->arg : "");

	if (!row->help) {
		snprintf(want, sizeof(want), "--%s", row->name);
		assert_null(strstr(help, want));
		return;
	}
	if (len < HELP_LEFT)
		snprintf(want, sizeof(want), "\n%-*s%s\n", HELP_LEFT, left, row->help);
	else
		snprintf(want, sizeof(want), "\n%s\n%*s%s\n", left, HELP_LEFT, "", row->help);
	if (!strstr(help, want))
		fail_msg("--%s: not in the help as '%s'", row->name, want);
}

static void test_help(void **state)
{
	static char help[16384];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
		read_help(sets[i], help, sizeof(help));
		assert_memory_equal(help, "Usage: xnbd-wrapper", 19);
		assert_non_null(strstr(help, sets[i]->usage));
		assert_non_null(strstr(help, sets[i]->about));
		for (size_t k = 0; k < sets[i]->count; k++)
			check_help_row(help, &sets[i]->rows[k]);
		for (const char *line = help; *line; line += strcspn(line, "\n") + 1)
			assert_in_range(strcspn(line, "\n"), 0, HELP_COLUMNS);
	}
}

static void test_wrapper_defaults(void **state)
{
	const struct wrapper_options *o = &target.wrapper;

	(void)state;
	assert_int_equal(parse_wrapper(""), 0);
	assert_int_equal(o->lport, 8520);
	assert_string_equal(o->control, WRAPPER_DEFAULT_CONTROL);
	assert_string_equal(o->dbpath, WRAPPER_DEFAULT_STATE);
	assert_int_equal(o->max_clients, 16384);
	assert_int_equal(o->max_clients_per_peer, 16384);
	assert_true(o->negotiator_fd == UINT64_MAX);
	assert_false(o->readonly || o->daemonize || o->syslog || o->help || o->version);
	assert_true(!o->server && !o->config && !o->logpath && !o->engine);
	assert_int_equal(o->imgfiles.count + o->laddr.count + o->sockets.count, 0);
	assert_int_equal(o->max_queue_size + o->max_buf_size, 0);
}

/* The letters are those of the original; each value lands in its own field. */
static void test_wrapper_values(void **state)
{
	const struct wrapper_options *o = &target.wrapper;

	(void)state;
	assert_int_equal(parse_wrapper("-f a -f b -c conf -l ::1 -l 127.0.0.1 -p 9 -u s -s ctl "
				       "-b server --readonly -d -L log -S --dbpath db -Q 7 -B 2M "
				       "--max-clients 5 --max-clients-per-peer 4 -e threads"),
		0);
	assert_int_equal(o->imgfiles.count, 2);
	assert_string_equal(o->imgfiles.items[1], "b");
	assert_int_equal(o->laddr.count, 2);
	assert_string_equal(o->laddr.items[0], "::1");
	assert_int_equal(o->sockets.count, 1);
	assert_string_equal(o->sockets.items[0], "s");
	assert_string_equal(o->config, "conf");
	assert_string_equal(o->control, "ctl");
	assert_string_equal(o->server, "server");
	assert_string_equal(o->logpath, "log");
	assert_string_equal(o->dbpath, "db");
	assert_string_equal(o->engine, "threads");
	assert_true(o->readonly && o->daemonize && o->syslog);
	assert_int_equal(o->lport, 9);
	assert_int_equal(o->max_queue_size, 7);
	assert_int_equal(o->max_buf_size, 2 << 20);
	assert_int_equal(o->max_clients, 5);
	assert_int_equal(o->max_clients_per_peer, 4);
	assert_int_equal(parse_wrapper("--cow --cow-dir /x --xnbd-bgctl old"), 0);
	assert_true(o->cow);
	assert_string_equal(o->cow_dir, "/x");
	assert_string_equal(o->bgctl, "old");
	assert_int_equal(parse_wrapper("--port 10 --xnbd-binary other -hv --negotiator-fd 3"), 0);
	assert_int_equal(o->lport, 10);
	assert_string_equal(o->server, "other");
	assert_true(o->help && o->version);
	assert_int_equal(o->negotiator_fd, 3);
}

static const struct {
	const char *line, *says;
} refused[] = {
	{"img", "operands are not expected; name images by --imgfile PATH"},
	{"--imgfile a b", "operands are not expected"},
	{"--engine aio", "--engine aio: must be auto, io_uring or threads"},
	{"--lport 0", "--lport 0: not a number from 1 to 65535"},
	{"--port 65536", "--port 65536: not a number from 1 to 65535"},
	{"--max-clients 0", "from 1 to 1000000"},
	{"--max-buf-size 2T", "--max-buf-size 2T: not a size"},
	{"--lport", "an argument is missing"},
	{"--nonsense", "unknown or ambiguous option"},
	{"--max 3", "unknown or ambiguous option"},
	{"-x", "-x: unknown option"},
	{"--readonly=yes", "takes no argument"},
};

static void test_wrapper_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		int ret = parse_wrapper(refused[i].line);

		if (ret != -EINVAL || !strstr(err.text, refused[i].says))
			fail_msg("'%s': %d '%s'", refused[i].line, ret, err.text);
	}
	assert_int_equal(parse_wrapper("--engine auto"), 0);
	assert_int_equal(parse_wrapper("--engine io_uring"), 0);
}

static const struct {
	const char *line;
	enum ctl_action action;
	int operands;
} commands[] = {
	{"", CTL_NONE, 0},
	{"--list", CTL_LIST, 0},
	{"-l", CTL_LIST, 0},
	{"--status", CTL_STATUS, 0},
	{"--add-target name file", CTL_ADD_TARGET, 2},
	{"name --add-target file", CTL_ADD_TARGET, 2},
	{"--add file", CTL_ADD, 1},
	{"-a file", CTL_ADD, 1},
	{"--remove 3", CTL_REMOVE, 1},
	{"-r 3", CTL_REMOVE, 1},
	{"--remove-by-exportname name", CTL_REMOVE_BY_NAME, 1},
	{"--remove-by-file file", CTL_REMOVE_BY_FILE, 1},
	{"--save", CTL_SAVE, 0},
	{"--shutdown", CTL_SHUTDOWN, 0},
	{"-d", CTL_SHUTDOWN, 0},
	{"--orphan", CTL_ORPHAN, 0},
	{"--add-cow name base", CTL_ADD_COW, 2},
	{"--add-proxy name host 1 c b s", CTL_ADD_PROXY, 6},
	{"--bgctl-query name", CTL_QUERY, 1},
	{"--bgctl-cache-all name --rate 1M", CTL_CACHE_ALL, 1},
	{"--bgctl-switch name --force", CTL_SWITCH, 1},
	{"--bgctl-reconnect name uri", CTL_RECONNECT, 2},
	{"--bgctl-pause name", CTL_PAUSE, 1},
	{"--bgctl-resume name", CTL_RESUME, 1},
	{"--bgctl-verify name", CTL_VERIFY, 1},
	{"--snapshot name --to f", CTL_SNAPSHOT, 1},
	{"--snapshots", CTL_SNAPSHOTS, 0},
	{"--drop-snapshot name 3", CTL_DROP_SNAPSHOT, 2},
	{"--migrate-in name uri --cache c", CTL_MIGRATE_IN, 2},
	{"--migrate-abort name", CTL_MIGRATE_ABORT, 1},
	{"--migrate-status name", CTL_MIGRATE_STATUS, 1},
	{"--list --list", CTL_LIST, 0},
};

static void test_ctl_commands(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		assert_int_equal(parse(&ctl_option_set, commands[i].line), 0);
		assert_int_equal(target.ctl.action, commands[i].action);
		assert_int_equal(operands, commands[i].operands);
	}
	assert_int_equal(parse(&ctl_option_set, "--add n --readonly --description d -s p -j"), 0);
	assert_true(target.ctl.readonly && target.ctl.json);
	assert_string_equal(target.ctl.description, "d");
	assert_string_equal(target.ctl.control, "p");
}

static void test_ctl_words(void **state)
{
	(void)state;
	assert_int_equal(ctl_action_of_word("migrate-status"), CTL_MIGRATE_STATUS);
	assert_int_equal(ctl_action_of_word("snapshot"), CTL_SNAPSHOT);
	assert_int_equal(ctl_action_of_word("list"), CTL_LIST);
	assert_int_equal(ctl_action_of_word("query"), CTL_QUERY);
	assert_int_equal(ctl_action_of_word("bgctl-query"), CTL_QUERY);
	assert_int_equal(ctl_action_of_word("snap"), CTL_NONE);
	assert_int_equal(ctl_action_of_word("rate"), CTL_NONE); /* an option, no command */
	assert_int_equal(ctl_action_of_word(""), CTL_NONE);
}

static void test_ctl_one_command_only(void **state)
{
	(void)state;
	assert_int_equal(parse(&ctl_option_set, "--list --shutdown"), -EINVAL);
	assert_string_equal(
		err.text, "--shutdown: excludes another option already given; choose one");
	assert_int_equal(parse(&ctl_option_set, "-r 1 --remove-by-file f"), -EINVAL);
	assert_int_equal(parse(&ctl_option_set, "--socket"), -EINVAL);
	assert_int_equal(parse(&ctl_option_set, "--remov 1"), -EINVAL); /* one of three */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_no_name_twice),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_wrapper_defaults),
		cmocka_unit_test(test_wrapper_values),
		cmocka_unit_test(test_wrapper_refused),
		cmocka_unit_test(test_ctl_commands),
		cmocka_unit_test(test_ctl_words),
		cmocka_unit_test(test_ctl_one_command_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
