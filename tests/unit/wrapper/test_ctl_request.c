/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the words of xnbd-wrapper-ctl to requests, each as JSON, and what is refused with what. */
#include "ctl_request.h"
#include "opt.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { ARGS_MAX = 20 };

/* The request of LINE, split at blanks, with sorted keys; NULL: refused. */
static char *request_of(const char *line, struct err *err)
{
	static char name[] = "ctl", copy[512];
	char *argv[ARGS_MAX] = {name}, **args, *save = NULL, *text;
	struct ctl_options o = {0};
	int argc = 1, rest, count;
	json_t *msg;

	*err = (struct err){0};
	strcpy(copy, line);
	for (char *p = strtok_r(copy, " ", &save); p; p = strtok_r(NULL, " ", &save))
		argv[argc++] = p;
	if (opt_parse(&ctl_option_set, argc, argv, &o, &rest, err) < 0)
		return NULL;
	args = argv + rest;
	count = argc - rest;
	if (ctl_request_check(&o, &args, &count, err) < 0)
		return NULL;
	assert_in_range(ctl_request_timeout(&o), 30000, 200000);
	msg = ctl_request_build(&o, args, count);
	text = msg ? json_dumps(msg, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
	json_decref(msg);
	return text;
}

static const struct {
	const char *line, *want;
} good[] = {
	{"stats", "{\"clients\":false,\"cmd\":\"stats\"}"},
	{"stats n --watch --interval 3", "{\"clients\":true,\"cmd\":\"stats\",\"name\":\"n\"}"},
	{"--stats --json", "{\"clients\":true,\"cmd\":\"stats\"}"},
	{"metrics", "{\"cmd\":\"metrics\"}"},
	{"log-level debug", "{\"cmd\":\"log-level\",\"level\":\"debug\"}"},
	{"--list", "{\"cmd\":\"list\"}"}, {"list", "{\"cmd\":\"list\"}"},
	{"--add /a", "{\"cmd\":\"add-target\",\"file\":\"/a\",\"name\":\"/a\",\"readonly\":false}"},
	{"--add-cow n /a --set allow=unix --set threads=2 --set allow=::1 --set x=y=z",
		"{\"cmd\":\"add-cow\",\"file\":\"/a\",\"name\":\"n\",\"settings\":"
		"{\"allow\":[\"unix\",\"::1\"],\"threads\":[\"2\"],\"x\":[\"y=z\"]}}"},
	{"--add-target n /a --readonly --description d",
		"{\"cmd\":\"add-target\",\"description\":\"d\",\"file\":\"/a\",\"name\":\"n\",\"readonly\":true}"},
	{"--add-cow n /a", "{\"cmd\":\"add-cow\",\"file\":\"/a\",\"name\":\"n\"}"},
	{"--add-proxy n h 1 /c /b /s --target-exportname x",
		"{\"bitmap\":\"/b\",\"cache\":\"/c\",\"cmd\":\"add-proxy\",\"control\":\"/s\","
		"\"exportname\":\"x\",\"host\":\"h\",\"name\":\"n\",\"port\":\"1\",\"readonly\":false}"},
	{"add-proxy n nbd://h/x /c /b /s",
		"{\"bitmap\":\"/b\",\"cache\":\"/c\",\"cmd\":\"add-proxy\",\"control\":\"/s\","
		"\"name\":\"n\",\"readonly\":false,\"uri\":\"nbd://h/x\"}"},
	{"-r 3", "{\"cmd\":\"remove\",\"index\":3}"},
	{"--remove-by-file /f", "{\"cmd\":\"remove\",\"file\":\"/f\"}"},
	{"remove 3 --force", "{\"cmd\":\"remove\",\"force\":true,\"index\":3}"},
	{"--remove-by-exportname n --when-idle",
		"{\"cmd\":\"remove\",\"name\":\"n\",\"when_idle\":true}"},
	{"--reload", "{\"cmd\":\"reload\"}"},
	{"reload --dry-run", "{\"cmd\":\"reload\",\"dry_run\":true}"},
	{"reload --force", "{\"cmd\":\"reload\",\"force\":true}"},
	{"reload --dry-run --when-idle",
		"{\"cmd\":\"reload\",\"dry_run\":true,\"when_idle\":true}"},
	{"resize n", "{\"cmd\":\"resize\",\"name\":\"n\"}"},
	{"resize n --force", "{\"cmd\":\"resize\",\"force\":true,\"name\":\"n\"}"},
	{"--remove-by-exportname n", "{\"cmd\":\"remove\",\"name\":\"n\"}"},
	{"query n", "{\"cmd\":\"query\",\"name\":\"n\"}"},
	{"--bgctl-cache-all n --rate 2M",
		"{\"cmd\":\"cache-all\",\"name\":\"n\",\"rate\":2097152}"},
	{"--bgctl-switch n --force", "{\"cmd\":\"switch\",\"force\":true,\"name\":\"n\"}"},
	{"--bgctl-reconnect n h 1",
		"{\"cmd\":\"reconnect\",\"host\":\"h\",\"name\":\"n\",\"port\":\"1\"}"},
	{"--bgctl-reconnect n h 1 x",
		"{\"cmd\":\"reconnect\",\"exportname\":\"x\",\"host\":\"h\",\"name\":\"n\",\"port\":\"1\"}"},
	{"--bgctl-reconnect n nbd://h",
		"{\"cmd\":\"reconnect\",\"name\":\"n\",\"uri\":\"nbd://h\"}"},
	{"snapshot n --to /t", "{\"cmd\":\"snapshot\",\"name\":\"n\",\"to\":\"/t\"}"},
	{"snapshots", "{\"cmd\":\"snapshots\"}"},
	{"snapshots n", "{\"cmd\":\"snapshots\",\"name\":\"n\"}"},
	{"drop-snapshot n 17", "{\"cmd\":\"drop-snapshot\",\"id\":17,\"name\":\"n\"}"},
	{"migrate-in n nbd://h --cache /c --rate 5 --verify --hook mail",
		"{\"cache\":\"/c\",\"cmd\":\"migrate-in\",\"hook\":\"mail\",\"name\":\"n\",\"rate\":5,"
		"\"uri\":\"nbd://h\",\"verify\":true}"},
	{"migrate-abort n", "{\"cmd\":\"migrate-abort\",\"name\":\"n\"}"},
	{"migrate-status", "{\"cmd\":\"migrate-status\"}"}, {"clients", "{\"cmd\":\"clients\"}"},
	{"--clients n", "{\"cmd\":\"clients\",\"name\":\"n\"}"},
	{"evict n", "{\"cmd\":\"evict\",\"name\":\"n\"}"},
	{"--evict n --client 7 --force",
		"{\"client\":7,\"cmd\":\"evict\",\"force\":true,\"name\":\"n\"}"},
	{"evict n --peer ::1", "{\"cmd\":\"evict\",\"name\":\"n\",\"peer\":\"::1\"}"},
	{"-- --list", NULL}, /* behind --, a name; and no command */
};

static void test_good(void **state)
{
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		CLEANUP_FREE char *text = request_of(good[i].line, &err);

		if (!text != !good[i].want || (text && strcmp(text, good[i].want) != 0))
			fail_msg("%s\n got: %s %s\nwant: %s", good[i].line, text ? text : "-",
				err.text, good[i].want);
	}
}

/* Paths mean ours, not the wrapper's. */
static void test_relative_paths(void **state)
{
	CLEANUP_FREE char *here = get_current_dir_name();
	struct err err;
	char want[4200];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		static const char *const lines[] = {
			"--remove-by-file f", "snapshot n --to f", "migrate-in n u --hook ./f"};
		CLEANUP_FREE char *text = request_of(lines[i], &err);

		snprintf(want, sizeof(want), "\"%s/f\"", here);
		if (!text || !strstr(text, want))
			fail_msg("%s: %s", lines[i], text ? text : err.text);
	}
}

static const struct {
	const char *line, *says;
} bad[] = {
	{"", "no command given"},
	{"nonsense", "'nonsense': no such command"},
	{"--list x", "takes 0 arguments, 1 given"},
	{"--add-proxy n h 1 c", "takes 5 to 6 arguments, 4 given"},
	{"--add-proxy n h 1 c b", "a host's name needs a port"},
	{"--bgctl-reconnect n h", "a host's name needs a port"},
	{"--bgctl-reconnect n h 1 x --target-exportname y", "the name is given already"},
	{"--add-proxy n nbd://h c b s --target-exportname y", "the name is given already"},
	{"--list --readonly", "--readonly goes with"},
	{"--add-cow n b --readonly", "--readonly goes with"},
	{"--remove 1 --description d", "--description goes with"},
	{"--remove 1 --set a=b", "--set goes with commands that add"},
	{"--add-cow n /a --set threads", "--set threads: must be KEY=VALUE"},
	{"--add-cow n /a --set =1", "--set =1: must be KEY=VALUE"},
	{"--list --rate 5", "--rate goes with"},
	{"--bgctl-query n --force", "--force goes with"},
	{"--snapshots --to f", "--to goes with"},
	{"--add-proxy n h 1 c b s --cache c", "--cache, --bitmap and --control go with"},
	{"--bgctl-verify n --verify", "--verify goes with"},
	{"--migrate-status --hook h", "--hook goes with"},
	{"--clients --client 7", "--client and --peer go with --evict"},
	{"--clients n --peer ::1", "--client and --peer go with --evict"},
	{"--evict", "takes 1 arguments, 0 given"},
	{"--clients --force", "--force goes with"},
	{"reload --force --when-idle", "--force and --when-idle exclude each other"},
	{"resize n --when-idle", "--when-idle goes with --reload"},
	{"resize", "takes 1 arguments, 0 given"},
	{"reload x", "takes 0 arguments, 1 given"},
	{"save --dry-run", "--dry-run, --offline and --config go with --reload"},
	{"reload --config f", "--config goes with --offline"},
	{"reload --offline --dry-run", "--offline changes nothing"},
	{"--add-target n f --target-exportname x", "--target-exportname goes with"},
};

static void test_bad(void **state)
{
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (request_of(bad[i].line, &err) || !strstr(err.text, bad[i].says))
			fail_msg(
				"'%s': '%s' does not say '%s'", bad[i].line, err.text, bad[i].says);
		assert_int_equal(err.code, EINVAL);
	}
}

static void test_no_request(void **state)
{
	static const char *const lines[] = {"-r x", "-r 0", "-r -1", "drop-snapshot n x",
		"drop-snapshot n 0", "--add-target \xff f", "--remove-by-file \xff"};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		assert_null(request_of(lines[i], &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_relative_paths),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_no_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
