/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What holds if command line and file say different things, and the whole as one file. */
#include "settings.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { ARGS_MAX = 40 };

static struct temp temp;
static struct settings settings;
static struct conf files;
static struct err err;
static char words[1024];

static int set_up(void **state)
{
	(void)state;
	temp_init(&temp);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	settings_done(&settings);
	conf_done(&files);
	temp_done(&temp);
	return 0;
}

/* LINE's words behind the options that name a file with TEXT, unless that is NULL. */
static int read_all(const char *line, const char *text)
{
	static char path[TEMP_PATH_MAX], option[] = "--config", name[] = "program";
	char *argv[ARGS_MAX] = {name}, *save = NULL;
	int argc = 1, rest = 0;

	settings_done(&settings);
	conf_done(&files);
	strcpy(words, line);
	if (text) {
		argv[argc++] = option;
		argv[argc++] = strcpy(path, temp_file(&temp, "x.conf", text));
	}
	for (char *p = strtok_r(words, " ", &save); p; p = strtok_r(NULL, " ", &save))
		argv[argc++] = p;
	return settings_read(argc, argv, &settings, &rest, &files, &err);
}

static const struct wrapper_options *read_well(const char *line, const char *text)
{
	if (read_all(line, text) < 0)
		fail_msg("%s", files.fault_count ? files.faults[0] : err.text);
	return &settings.options;
}

static void test_defaults(void **state)
{
	const struct wrapper_options *o = read_well("", NULL);

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_string_equal(o->control, WRAPPER_DEFAULT_CONTROL);
		assert_string_equal(o->run_folder, WRAPPER_DEFAULT_CONTROL ".d");
		assert_string_equal(o->dbpath, WRAPPER_DEFAULT_STATE);
		assert_true(o->lport == 8520 && o->busy_poll == 50 && o->max_clients == 16384);
		assert_true(o->handshake_timeout == 10 && !o->idle_timeout && !o->poll_sizes);
		assert_true(!o->readonly && !o->syslog && !o->engine && !o->user);
		assert_string_equal(o->log_level, "info");
		o = read_well("", "wrapper { }"); /* the same */
	}
}

#define EVERYTHING                                                                                   \
	"wrapper { control = /f/c state-file = /f/s xnbd-server = /f/x cow-dir = /f/d user = root\n" \
	"group = root control-group = root metrics = '*:1' log-level = debug engine = threads\n"     \
	"readonly = yes cow = yes direct = yes max-clients = 1 max-clients-per-peer = 2\n"           \
	"handshake-timeout = 3 idle-timeout = 4 poll-sizes = 5 busy-poll = 6 max-queue-size = 7\n"   \
	"max-buf-size = 8 listen = {'*:9', /f/l} log = {syslog, journal, /f/log} }"

static void test_file(void **state)
{
	const struct wrapper_options *o = read_well("", EVERYTHING);

	(void)state;
	assert_string_equal(o->control, "/f/c");
	assert_string_equal(o->run_folder, "/f/c.d");
	assert_string_equal(o->dbpath, "/f/s");
	assert_string_equal(o->server, "/f/x");
	assert_string_equal(o->cow_dir, "/f/d");
	assert_string_equal(o->user, "root");
	assert_string_equal(o->group, "root");
	assert_string_equal(o->control_group, "root");
	assert_string_equal(o->metrics, "*:1");
	assert_string_equal(o->log_level, "debug");
	assert_string_equal(o->engine, "threads");
	assert_string_equal(o->logpath, "/f/log");
	assert_true(o->syslog && o->journal && o->readonly && o->cow && o->direct);
	assert_true(o->max_clients == 1 && o->max_clients_per_peer == 2);
	assert_true(o->handshake_timeout == 3 && o->idle_timeout == 4 && o->poll_sizes == 5);
	assert_true(o->busy_poll == 6 && o->max_queue_size == 7 && o->max_buf_size == 8);
	assert_true(o->listen.count == 2 && !o->laddr.count && !o->sockets.count);
	assert_string_equal(o->listen.items[1], "/f/l");
}

static void test_command_line_wins(void **state)
{
	const struct wrapper_options *o = read_well(
		"--socket /o/c --dbpath /o/s -b /o/x --cow-dir /o/d --log-level warn -e auto "
		"--max-clients 11 --max-clients-per-peer 12 --busy-poll 50 -Q 0 -B 18 -S "
		"--lport 8520",
		EVERYTHING);

	(void)state;
	assert_string_equal(o->control, "/o/c");
	assert_string_equal(o->run_folder, "/o/c.d");
	assert_string_equal(o->dbpath, "/o/s");
	assert_string_equal(o->server, "/o/x");
	assert_string_equal(o->cow_dir, "/o/d");
	assert_string_equal(o->log_level, "warn");
	assert_string_equal(o->engine, "auto");
	assert_true(o->max_clients == 11 && o->max_clients_per_peer == 12);
	assert_true(o->busy_poll == 50 && o->max_queue_size == 0 && o->max_buf_size == 18);
	assert_true(o->syslog && !o->journal && !o->logpath); /* the list as a whole */
	assert_true(o->listen.count == 0 && o->lport == 8520);
	assert_true(o->readonly && o->idle_timeout == 4);
	assert_int_equal(read_well("-l ::1", EVERYTHING)->listen.count, 0);
	assert_int_equal(read_well("-u /o/l", EVERYTHING)->listen.count, 0);
	assert_int_equal(read_well("--readonly", EVERYTHING)->listen.count, 2);
	o = read_well("-L /o/log", EVERYTHING);
	assert_true(!o->syslog && !o->journal);
	assert_string_equal(o->logpath, "/o/log");
}

static void test_run_directory(void **state)
{
	const struct wrapper_options *o = read_well("", "wrapper { run-directory = /r }");

	(void)state;
	assert_string_equal(o->control, "/r/wrapper.ctl");
	assert_string_equal(o->run_folder, "/r/wrapper.ctl.d");
	o = read_well("", "wrapper { run-directory = /r control = /x/c }");
	assert_string_equal(o->control, "/x/c");
	assert_string_equal(o->run_folder, "/r/c.d");
	o = read_well("-s sub/c", "wrapper { run-directory = /r }");
	assert_string_equal(o->control, "sub/c");
	assert_string_equal(o->run_folder, "/r/c.d");
}

static void test_refusals(void **state)
{
	(void)state;
	assert_int_equal(read_all("--lport 0", NULL), -EINVAL);
	assert_non_null(strstr(err.text, "--lport 0"));
	assert_int_equal(read_all("--nonsense", ""), -EINVAL);
	assert_int_equal(read_all("-L /l", "nonsense = 1"), -EBADMSG);
	assert_int_equal(files.fault_count, 1);
	assert_string_equal(settings.options.logpath, "/l");
	assert_int_equal(read_all("--config", NULL), -EINVAL);
	assert_int_equal(read_all("--check --config /nonexistent/x", NULL), -EBADMSG);
	assert_non_null(strstr(files.faults[0], "/nonexistent/x: No such file"));
	if (access(CONFIG_DEFAULT, F_OK) == 0)
		return;
	assert_int_equal(read_all("--check", NULL), -EBADMSG);
	assert_non_null(strstr(files.faults[0], CONFIG_DEFAULT ": No such file"));
}

static char *dump(void)
{
	struct config all;
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(settings_effective(&settings, &all, &err), 0);
	config_dump(&all, out);
	fclose(out);
	config_free(&all);
	return text;
}

/* In effect is the same, said by options, by a file or by both. */
static void test_effective(void **state)
{
	static const char *const lines[] = {"", "-S", "--journal -L /l",
		"-l ::1 -l 127.0.0.1 -p 7 -u /u", "-p 7", "--readonly --cow --direct --cow-dir /d",
		"-b xs -e threads --busy-poll 50",
		"-Q 9 -B 1K --max-clients 5 --max-clients-per-peer 16384", "-f /a -f /b -s /s/c"};
	static const char *const texts[] = {NULL, "", EVERYTHING,
		"wrapper { run-directory = /r allow = unix }\n"
		"defaults { idle-timeout = 5 }\nexport a { image = /a default = true }"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines) * ARRAY_LEN(texts); i++) {
		CLEANUP_FREE char *text = NULL, *again = NULL;
		struct wrapper_options a, b;

		read_well(lines[i % ARRAY_LEN(lines)], texts[i / ARRAY_LEN(lines)]);
		text = dump();
		a = settings.options;
		read_well("", text);
		again = dump();
		b = settings.options;
		assert_string_equal(text, again);
		assert_true(a.readonly == b.readonly && a.max_clients == b.max_clients &&
			a.syslog == b.syslog && a.busy_poll == b.busy_poll &&
			a.max_buf_size == b.max_buf_size && a.idle_timeout == b.idle_timeout &&
			!a.logpath == !b.logpath);
	}
}

static void test_effective_listen(void **state)
{
	CLEANUP_FREE char *text = NULL;

	(void)state;
	read_well("-l ::1 -l h -p 7 -u /u", EVERYTHING);
	text = dump();
	assert_non_null(strstr(text, "listen = {'[::1]:7', 'h:7', '/u'}\n"));
	assert_non_null(strstr(text, "log = {'syslog', 'journal', '/f/log'}\n"));
	assert_non_null(strstr(text, "busy-poll = 6\n"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_defaults),
		TEST(test_file),
		TEST(test_command_line_wins),
		TEST(test_run_directory),
		TEST(test_refusals),
		TEST(test_effective),
		TEST(test_effective_listen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
