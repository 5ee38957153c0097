/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Command line and nfs.conf: cases 75 and 76 of the reference page, and how callers call us. */
#include "settings.h"

#include "statedir.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { ARGS_MAX = 12, MINUTE = 60 * 1000 };

static struct statedir dir;
static struct nfsconf conf;
static struct options options;
static struct settings s;
static struct err err;
static char words[300];

static int set_up(void **state)
{
	(void)state;
	statedir_init(&dir);
	nfsconf_init(&conf);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	nfsconf_done(&conf);
	statedir_done(&dir);
	return 0;
}

/* TEXT: arguments with one blank between. */
static int parse(const char *text)
{
	char *argv[ARGS_MAX + 2] = {(char *)"sm-notify"};
	int argc = 1;

	err = (struct err){0};
	snprintf(words, sizeof(words), "%s", text);
	for (char *p = strtok(words, " "); p && argc <= ARGS_MAX; p = strtok(NULL, " "))
		argv[argc++] = p;
	return options_parse(&options, argc, argv, &err);
}

static void conf_text(const char *text)
{
	nfsconf_done(&conf);
	nfsconf_init(&conf);
	statedir_put(&dir, "nfs.conf", text);
	statedir_forget_log(&dir);
	nfsconf_read(&conf, statedir_path(&dir, "nfs.conf"));
}

static void build(const char *arguments)
{
	if (parse(arguments) < 0)
		fail_msg("%s: %s", arguments, err.text);
	settings_build(&s, &options, &conf);
}

static void test_defaults(void **state)
{
	(void)state;
	build("");
	assert_int_equal(s.retry_ms, 15 * MINUTE);
	assert_int_equal(s.outgoing_port, 0);
	assert_int_equal(s.rpcbind_port, 111);
	assert_null(s.outgoing_addr);
	assert_string_equal(s.directory, SETTINGS_DIRECTORY);
	assert_string_equal(s.run_dir, "/run");
	assert_string_equal(s.proc_root, "/proc");
	assert_true(s.update_state && s.lift_grace && s.kernel_state);
	assert_false(s.force || s.foreground || s.debug || s.no_consume || s.list || s.dry_run);
	assert_false(s.json);
}

static void test_letters(void **state)
{
	(void)state;
	build("-d");
	assert_true(s.debug && s.foreground);
	build("-f -n");
	assert_true(s.force && !s.update_state);
	build("-m 3");
	assert_int_equal(s.retry_ms, 3 * MINUTE);
	build("-m 0");
	assert_int_equal(s.retry_ms, 0);
	build("-p 1000 -P /a/b -v nfs.test");
	assert_int_equal(s.outgoing_port, 1000);
	assert_string_equal(s.directory, "/a/b");
	assert_string_equal(s.outgoing_addr, "nfs.test");
}

/* rpc.statd: -d -pPORT -v NAME; Pacemaker: -f -v IP -P DIR. */
static void test_callers(void **state)
{
	(void)state;
	build("-d -p1000 -v nfs.test");
	assert_true(s.debug);
	assert_int_equal(s.outgoing_port, 1000);
	build("-f -v 10.0.0.1 -P /shared/nfs");
	assert_true(s.force);
	assert_string_equal(s.outgoing_addr, "10.0.0.1");
	assert_string_equal(s.directory, "/shared/nfs");
	build("-P x");
	build("-P ./x");
	assert_string_equal(s.directory, "./x");
}

static void test_long_names(void **state)
{
	(void)state;
	build("--debug");
	assert_true(s.debug && s.foreground);
	build("--foreground");
	assert_true(!s.debug && s.foreground);
	build("--force --retry-time=2 --no-update-state --outgoing-port 700");
	assert_true(s.force && !s.update_state);
	assert_int_equal(s.retry_ms, 2 * MINUTE);
	assert_int_equal(s.outgoing_port, 700);
	build("--state-directory-path /x --my-name a.b --no-lift-grace --no-consume");
	assert_string_equal(s.outgoing_addr, "a.b");
	assert_true(!s.lift_grace && s.no_consume);
	build("--outgoing-addr c.d --no-kernel-state --list --json");
	assert_string_equal(s.outgoing_addr, "c.d");
	assert_true(!s.kernel_state && s.list && s.json);
	build("--dry-run --rpcbind-port 9111 --run-dir /r --proc-root /q --retry-seconds 7");
	assert_true(s.dry_run);
	assert_int_equal(s.rpcbind_port, 9111);
	assert_string_equal(s.run_dir, "/r");
	assert_string_equal(s.proc_root, "/q");
	assert_int_equal(s.retry_ms, 7000);
}

static void test_usage(void **state)
{
	static const char *const wrong[] = {"-m abc", "-m -5", "-m 99999999999", "-m", "-m 1x",
		"-m ", "-p 0", "-p 65536", "-p x", "-p nfs", "-p -1", "-q", "--nothing", "operand",
		"-f false", "--lift-grace --no-lift-grace", "--list --dry-run", "-P", "-v",
		"--state-directory-path=", "--outgoing-addr=", "--config=", "--json"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		if (parse(wrong[i]) != -EINVAL)
			fail_msg("%s: taken", wrong[i]);
		assert_true(*err.text);
	}
}

static void test_conf(void **state)
{
	(void)state;
	conf_text("[statd]\nstate-directory-path = /d\n[sm-notify]\nretry-time = 900\n"
		  "outgoing-port=801\noutgoing-addr=vip.test\nlift-grace=n\nforce=1\n"
		  "update-state=No\ndebug=all\n");
	build("");
	assert_int_equal(dir.lines, 0);
	assert_string_equal(s.directory, "/d");
	assert_int_equal(s.retry_ms, 900 * MINUTE); /* minutes, whatever a comment says */
	assert_int_equal(s.outgoing_port, 801);
	assert_string_equal(s.outgoing_addr, "vip.test");
	assert_true(s.force && s.debug);
	assert_false(s.lift_grace || s.update_state);
	assert_false(s.foreground);
}

static void test_command_line_wins(void **state)
{
	(void)state;
	conf_text("[statd]\nstate-directory-path = /d\n[sm-notify]\nretry-time = 900\n"
		  "outgoing-port=801\noutgoing-addr=vip.test\nlift-grace=n\n");
	build("-P /e -m 1 -p 802 -v other --lift-grace");
	assert_string_equal(s.directory, "/e");
	assert_int_equal(s.retry_ms, MINUTE);
	assert_int_equal(s.outgoing_port, 802);
	assert_string_equal(s.outgoing_addr, "other");
	assert_true(s.lift_grace);
	conf_text("[sm-notify]\nlift-grace=y\n");
	build("--no-lift-grace");
	assert_false(s.lift_grace);
}

static void check_bool(const char *word, bool want)
{
	char text[100];

	snprintf(text, sizeof(text), "[sm-notify]\nforce=%s\nlift-grace=%s\n", word, word);
	conf_text(text);
	build("");
	assert_int_equal(dir.lines, 0);
	assert_int_equal(s.force, want);
	assert_int_equal(s.lift_grace, want);
}

static void test_booleans(void **state)
{
	static const char *const yes[] = {"1", "t", "true", "y", "yes", "on", "YES", "True"};
	static const char *const no[] = {"0", "f", "false", "n", "no", "off", "OFF", "False"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		check_bool(yes[i], true);
		check_bool(no[i], false);
	}
}

static void check_bad(const char *key, const char *value)
{
	char text[100], named[100];

	snprintf(text, sizeof(text), "[sm-notify]\n%s=%s\n", key, value);
	conf_text(text);
	build("");
	snprintf(named, sizeof(named), "[sm-notify] %s = %s: should be", key, value);
	if (dir.lines != 1 || !strstr(dir.log, named))
		fail_msg("%s: %s", named, dir.log);
	assert_int_equal(s.retry_ms, 15 * MINUTE);
	assert_int_equal(s.outgoing_port, 0);
	assert_true(s.update_state && s.lift_grace && !s.force && !s.debug);
}

static void test_bad_values(void **state)
{
	(void)state;
	check_bad("retry-time", "abc");
	check_bad("retry-time", "-5");
	check_bad("retry-time", "99999999999");
	check_bad("outgoing-port", "0");
	check_bad("outgoing-port", "65536");
	check_bad("outgoing-port", "nfs");
	check_bad("lift-grace", "maybe");
	check_bad("force", "2");
	check_bad("update-state", "x");
	check_bad("debug", "some");
	conf_text("[sm-notify]\nretry-tme = 3\n");
	build("");
	assert_int_equal(dir.lines, 1);
	assert_non_null(strstr(dir.log, "[sm-notify] retry-tme: there is no such key"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_defaults),
		TEST(test_letters),
		TEST(test_callers),
		TEST(test_long_names),
		TEST(test_usage),
		TEST(test_conf),
		TEST(test_command_line_wins),
		TEST(test_booleans),
		TEST(test_bad_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
