/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Command lines of servers, word by word, for each kind of export. */
#include "command.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct exports t;
static struct wrapper_options o;

static int set_up(void **state)
{
	(void)state;
	t = (struct exports){0};
	wrapper_options_default(&o);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	exports_done(&t);
	return 0;
}

#define LEVEL   "--log-level info "
#define SIZES   "--busy-poll 50 --max-queue-size 0 --max-buf-size 0 "
#define NUMBERS SIZES "-- "

static void check(const struct export_config *spec, const char *want)
{
	char line[1024] = "";
	struct export_entry *e;
	struct command c;

	assert_int_equal(exports_add(&t, spec, &e, NULL), 0);
	command_build(&c, "server", &o, e, "/run/p1");
	assert_null(c.argv[c.count]);
	for (size_t i = 0; i < c.count; i++) {
		strcat(line, i ? " " : "");
		strcat(line, c.argv[i]);
	}
	if (strcmp(line, want) != 0)
		fail_msg("\n got: %s\nwant: %s", line, want);
	exports_remove(&t, e->id);
}

static const struct export_config target = {.name = "t", .image = "/i"};
static const struct export_config cow = {.name = "c", .image = "/i", .kind = EXPORT_COW};
static const struct export_config proxy = {.name = "p",
	.image = "/c",
	.kind = EXPORT_PROXY,
	.host = "h",
	.port = "1",
	.exportname = "n",
	.bitmap = "/b",
	.control = "/s"};

static void test_target(void **state)
{
	(void)state;
	check(&target, "server --target --export-name t --control-fd 3 " LEVEL NUMBERS "/i");
	o.readonly = o.direct = o.syslog = true;
	o.logpath = "/log";
	o.engine = "threads";
	check(&target,
		"server --target --readonly --direct --export-name t --control-fd 3 --syslog --logpath /log " LEVEL
		"--engine threads " NUMBERS "/i");
}

static void test_daemon_logs_somewhere(void **state)
{
	(void)state;
	o.daemonize = true;
	check(&target,
		"server --target --export-name t --control-fd 3 --syslog " LEVEL NUMBERS "/i");
	o.journal = true;
	check(&target,
		"server --target --export-name t --control-fd 3 --journal " LEVEL NUMBERS "/i");
}

static void test_cow(void **state)
{
	struct export_config own = cow;

	(void)state;
	check(&cow, "server --cow-target --export-name c --control-fd 3 " LEVEL NUMBERS "/i");
	o.cow = o.direct = true;
	check(&target, "server --cow-target --export-name t --control-fd 3 " LEVEL NUMBERS "/i");
	o.cow_dir = "/all";
	own.cow_dir = "/own";
	check(&target,
		"server --cow-target --cow-dir /all --export-name t --control-fd 3 " LEVEL NUMBERS
		"/i");
	check(&own,
		"server --cow-target --cow-dir /own --export-name c --control-fd 3 " LEVEL NUMBERS
		"/i");
}

/* What its section says, if it says something, goes to the server. */
static void test_settings(void **state)
{
	struct export_config c = {.name = "t",
		.image = "/i",
		.threads = 2,
		.block_min = 512,
		.block_preferred = 4096,
		.block_max = 65536,
		.limit_requests = 9,
		.limit_bandwidth = 1 << 20};

	(void)state;
	o.idle_timeout = 60;
	check(&c,
		"server --target --export-name t --control-fd 3 " LEVEL SIZES
		"--threads 2 --block-min 512 --block-preferred 4096 --block-max 65536 "
		"--idle-timeout 60 --limit-requests 9 --limit-bandwidth 1048576 -- /i");
	c = cow;
	c.cow_block = 4096;
	c.idle_timeout = 7;
	check(&c,
		"server --cow-target --export-name c --control-fd 3 " LEVEL SIZES
		"--cow-block 4096 --idle-timeout 7 -- /i");
	o.readonly = true; /* then it is a target */
	check(&c,
		"server --target --readonly --export-name c --control-fd 3 " LEVEL SIZES
		"--idle-timeout 7 -- /i");
	c = proxy;
	c.origin_timeout = 1;
	c.origin_wait = 2;
	c.origin_connections = 3;
	o.readonly = false;
	check(&c,
		"server --proxy --target-exportname n --export-name p --control-fd 3 " LEVEL SIZES
		"--origin-timeout 1 --origin-wait 2 --origin-connections 3 --idle-timeout 60 "
		"-- h 1 /c /b /s");
}

/* Where nothing can be written no layer is needed. */
static void test_cow_readonly(void **state)
{
	(void)state;
	o.cow = o.readonly = true;
	check(&target,
		"server --target --readonly --export-name t --control-fd 3 " LEVEL NUMBERS "/i");
	check(&cow,
		"server --target --readonly --export-name c --control-fd 3 " LEVEL NUMBERS "/i");
}

static void test_proxy(void **state)
{
	struct export_config uri = {
		.name = "u", .image = "/c", .kind = EXPORT_PROXY, .uri = "nbd://h/x"};

	(void)state;
	check(&proxy,
		"server --proxy --target-exportname n --export-name p --control-fd 3 " LEVEL NUMBERS
		"h 1 /c /b /s");
	check(&uri,
		"server --proxy --export-name u --control-fd 3 " LEVEL NUMBERS
		"nbd://h/x /c /c.bitmap /run/p1");
	o.cow = o.direct = o.readonly = true;
	check(&uri,
		"server --proxy --readonly --export-name u --control-fd 3 " LEVEL NUMBERS
		"nbd://h/x /c /c.bitmap /run/p1");
}

/* The longest there can be fits, with its end. */
static void test_all(void **state)
{
	struct command c;
	struct export_entry *e;

	(void)state;
	o.readonly = o.direct = o.syslog = o.journal = true;
	o.logpath = o.engine = o.cow_dir = "x";
	assert_int_equal(exports_add(&t, &proxy, &e, NULL), 0);
	command_build(&c, "server", &o, e, "/run/p1");
	assert_in_range(c.count, 20, COMMAND_WORDS_MAX - 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_target),
		TEST(test_daemon_logs_somewhere),
		TEST(test_cow),
		TEST(test_settings),
		TEST(test_cow_readonly),
		TEST(test_proxy),
		TEST(test_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
