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

#define NUMBERS "--busy-poll 50 --max-queue-size 0 --max-buf-size 0 -- "

static void check(const struct export_spec *spec, const char *want)
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

static const struct export_spec target = {.name = "t", .image = "/i"};
static const struct export_spec cow = {.name = "c", .image = "/i", .kind = EXPORT_COW};
static const struct export_spec proxy = {.name = "p",
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
	check(&target, "server --target --control-fd 3 " NUMBERS "/i");
	o.readonly = o.direct = o.syslog = true;
	o.logpath = "/log";
	o.engine = "threads";
	check(&target,
		"server --target --readonly --direct --control-fd 3 --syslog --logpath /log "
		"--engine threads " NUMBERS "/i");
}

static void test_daemon_logs_somewhere(void **state)
{
	(void)state;
	o.daemonize = true;
	check(&target, "server --target --control-fd 3 --syslog " NUMBERS "/i");
}

static void test_cow(void **state)
{
	struct export_spec own = cow;

	(void)state;
	check(&cow, "server --cow-target --control-fd 3 " NUMBERS "/i");
	o.cow = o.direct = true;
	check(&target, "server --cow-target --control-fd 3 " NUMBERS "/i");
	o.cow_dir = "/all";
	own.cow_dir = "/own";
	check(&target, "server --cow-target --cow-dir /all --control-fd 3 " NUMBERS "/i");
	check(&own, "server --cow-target --cow-dir /own --control-fd 3 " NUMBERS "/i");
}

/* Where nothing can be written no layer is needed. */
static void test_cow_readonly(void **state)
{
	(void)state;
	o.cow = o.readonly = true;
	check(&target, "server --target --readonly --control-fd 3 " NUMBERS "/i");
	check(&cow, "server --target --readonly --control-fd 3 " NUMBERS "/i");
}

static void test_proxy(void **state)
{
	struct export_spec uri = {
		.name = "u", .image = "/c", .kind = EXPORT_PROXY, .uri = "nbd://h/x"};

	(void)state;
	check(&proxy,
		"server --proxy --target-exportname n --control-fd 3 " NUMBERS "h 1 /c /b /s");
	check(&uri, "server --proxy --control-fd 3 " NUMBERS "nbd://h/x /c /c.bitmap /run/p1");
	o.cow = o.direct = o.readonly = true;
	check(&uri,
		"server --proxy --readonly --control-fd 3 " NUMBERS
		"nbd://h/x /c /c.bitmap /run/p1");
}

/* The longest there can be fits, with its end. */
static void test_all(void **state)
{
	struct command c;
	struct export_entry *e;

	(void)state;
	o.readonly = o.direct = o.syslog = true;
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
		TEST(test_cow_readonly),
		TEST(test_proxy),
		TEST(test_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
