/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line of xnbd-bgctl from the words to the request on the wire: the original's
 * spelling, what belongs together, what is refused and why.
 */
#include "command.h"
#include "options.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { ARGS_MAX = 16 };

static struct bgctl_options o;
static struct err err;

/* Splits LINE at blanks, parses and checks it into `o`. */
static int parse(const char *line)
{
	static char name[] = "program", copy[512];
	char *argv[ARGS_MAX] = {name}, *save = NULL;
	int argc = 1, rest = 0, ret;

	strcpy(copy, line);
	for (char *p = strtok_r(copy, " ", &save); p; p = strtok_r(NULL, " ", &save))
		argv[argc++] = p;
	err = (struct err){0};
	bgctl_options_default(&o);
	ret = opt_parse(&bgctl_option_set, argc, argv, &o, &rest, &err);
	return ret < 0 ? ret : bgctl_options_check(&o, argc - rest, argv + rest, &err);
}

static void test_requests(void **state)
{
	static const struct {
		const char *line, *request;
	} rows[] = {
		{"ctl", "{'cmd':'query'}"},
		{"-q ctl", "{'cmd':'query'}"},
		{"ctl --query --json", "{'cmd':'query'}"},
		{"--list-snapshots ctl", "{'cmd':'query'}"},
		{"-c ctl", "{'cmd':'cache-all'}"},
		{"-C ctl", "{'cmd':'cache-all'}"},
		{"--cache-all --progress ctl", "{'cmd':'cache-all'}"},
		{"--cache-all2 --no-wait ctl", "{'cmd':'cache-all'}"},
		{"-c --rate 3m --blocks-per-request 7 --idle ctl",
			"{'cmd':'cache-all','rate':3145728,'blocks_per_request':7,'idle':true}"},
		{"-c --rate 0 ctl", "{'cmd':'cache-all','rate':0}"},
		{"-s ctl", "{'cmd':'switch','force':false}"},
		{"--shutdown ctl", "{'cmd':'switch','force':false}"},
		{"--shutdown --switch ctl", "{'cmd':'switch','force':false}"},
		{"--force --switch ctl", "{'cmd':'switch','force':true}"},
		{"-r ctl host 8520", "{'cmd':'reconnect','host':'host','port':'8520'}"},
		{"--exportname disk --reconnect ctl ::1 nbd",
			"{'cmd':'reconnect','host':'::1','port':'nbd','exportname':'disk'}"},
		{"--rec ctl nbd://host/disk", "{'cmd':'reconnect','uri':'nbd://host/disk'}"},
		{"--snapshot ctl", "{'cmd':'snapshot'}"},
		{"--snapshot --to /a/b --wait ctl", "{'cmd':'snapshot','to':'/a/b'}"},
		{"--drop-snapshot ctl 1795260101", "{'cmd':'snapshot-drop','id':1795260101}"},
		{"--pause ctl", "{'cmd':'pause'}"},
		{"--resume ctl", "{'cmd':'resume'}"},
		{"--verify ctl", "{'cmd':'verify'}"},
		{"--verify --samples 9 ctl", "{'cmd':'verify','samples':9}"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[256];
		json_t *wanted, *request;

		strcpy(text, rows[i].request);
		for (char *p = text; (p = strchr(p, '\''));)
			*p = '"';
		wanted = json_loads(text, 0, NULL);
		assert_int_equal(parse(rows[i].line), 0);
		assert_string_equal(o.control, "ctl");
		request = command_request(&o);
		assert_non_null(wanted);
		assert_true(json_equal(request, wanted));
		json_decref(request);
		json_decref(wanted);
	}
}

/* A relative --to counts from our working directory, not from the server's. */
static void test_path_is_absolute(void **state)
{
	CLEANUP_FREE char *cwd = getcwd(NULL, 0);
	const char *path;
	json_t *request;

	(void)state;
	assert_int_equal(parse("--snapshot --to a/b ctl"), 0);
	request = command_request(&o);
	path = json_string_value(json_object_get(request, "to"));
	assert_memory_equal(path, cwd, strlen(cwd));
	assert_string_equal(path + strlen(cwd), "/a/b");
	json_decref(request);
}

static void test_refused(void **state)
{
	static const struct {
		const char *line, *error;
	} rows[] = {
		{"", "--query takes CONTROL"},
		{"a b", "--query takes CONTROL"},
		{"--pause", "--pause takes CONTROL"},
		{"-r ctl", "--reconnect takes CONTROL HOST PORT or CONTROL URI"},
		{"-r ctl a b c", "arguments given: 4"},
		{"-r ctl host", "origin 'host': must be nbd:"},
		{"-r ctl nbd://h --exportname x", "--exportname goes with HOST PORT"},
		{"--drop-snapshot ctl", "takes CONTROL ID"},
		{"--drop-snapshot 5 ctl", "CONTROL comes first"},
		{"--drop-snapshot ctl -- -5", "'-5' is no ID"},
		{"-c -s ctl", "excludes another option"},
		{"--force ctl", "--force goes with --switch only"},
		{"-c --force ctl", "--force goes with --switch only"},
		{"-s --progress ctl", "--progress goes with --cache-all only"},
		{"-q --rate 0 ctl", "--rate goes with --cache-all only"},
		{"-q --blocks-per-request 1 ctl", "goes with --cache-all only"},
		{"-q --idle ctl", "goes with --cache-all only"},
		{"-q --no-wait ctl", "goes with --cache-all only"},
		{"-q --exportname x ctl", "goes with --reconnect only"},
		{"-q --to x ctl", "goes with --snapshot only"},
		{"-q --wait ctl", "goes with --snapshot only"},
		{"-q --samples 1 ctl", "goes with --verify only"},
		{"-s --json ctl", "--query, --snapshot, --list-snapshots, --verify only"},
		{"-c --progress --no-wait ctl", "exclude each other"},
		{"--snapshot --to= ctl", "a file name is wanted"},
		{"-c --rate x ctl", "--rate"},
		{"-c --blocks-per-request 0 ctl", "--blocks-per-request"},
		{"--verify --samples 0 ctl", "--samples"},
		{"--re ctl", "ambiguous"},
		{"--bogus ctl", "unknown"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(parse(rows[i].line), -EINVAL);
		if (!strstr(err.text, rows[i].error))
			fail_msg("%s: %s", rows[i].line, err.text);
	}
}

static void test_not_utf8(void **state)
{
	static const char *const lines[] = {"-r ctl \xff 1", "-r ctl h \xff", "-r ctl nbd://\xff",
		"-r ctl h 1 --exportname \xff", "--snapshot --to /\xff ctl"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		assert_int_equal(parse(lines[i]), 0);
		assert_null(command_request(&o));
	}
	assert_int_equal(command_run(&o), BGCTL_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_path_is_absolute),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_not_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
