/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errors with words and log lines: their form in a file, levels, what they are about, what peers
 * cannot do to a log (control bytes, floods), and that errno survives. For the journal see
 * test_journal.c.
 */
#include "clock.h"
#include "err.h"
#include "fsutil.h"
#include "log.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct temp temp;

static void test_err(void **state)
{
	struct err err = {0};
	char big[2 * ERR_TEXT_MAX];

	(void)state;
	assert_int_equal(err_set(&err, EINVAL, "line %d", 7), -EINVAL);
	assert_int_equal(err.code, EINVAL);
	assert_string_equal(err.text, "line 7");
	assert_int_equal(err_sys(&err, ENOENT, "file %s", "x"), -ENOENT);
	assert_int_equal(err.code, ENOENT);
	assert_string_equal(err.text, "file x: No such file or directory");
	assert_int_equal(err_set(NULL, EIO, "nobody listens"), -EIO);
	assert_int_equal(err_sys(NULL, EIO, "nobody listens"), -EIO);
	memset(big, 'b', sizeof(big));
	big[sizeof(big) - 1] = 0;
	err_sys(&err, EIO, "%s", big);
	assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
	err_set(&err, EIO, "%s", big);
	assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
}

/* Runs before a file is chosen. */
static void test_stderr_first(void **state)
{
	struct err err = {0};

	(void)state;
	assert_true(log_on_stderr());
	assert_int_equal(log_to_file(temp_path(&temp, "no/such/folder"), &err), -ENOENT);
	assert_non_null(strstr(err.text, "log file "));
	assert_true(log_on_stderr());
	assert_int_equal(symlink("/dev/null", temp_path(&temp, "link")), 0);
	assert_int_equal(log_to_file(temp.path, &err), -ELOOP);
	assert_true(log_on_stderr());
}

static int set_up(void **state)
{
	(void)state;
	temp_init(&temp);
	return 0;
}

static char *read_log(void)
{
	size_t len;
	char *text;

	assert_int_equal(fs_read(temp_path(&temp, "log"), 1024 * 1024, &text, &len, NULL), 0);
	return text;
}

static void empty_log(void)
{
	assert_int_equal(truncate(temp_path(&temp, "log"), 0), 0);
}

static unsigned count_lines(const char *text, const char *with)
{
	unsigned n = 0;

	for (; (text = strstr(text, with)); text++)
		n++;
	return n;
}

static void test_file(void **state)
{
	int year, month, day, hour, minute, second, ms, pid, used = 0;
	CLEANUP_FREE char *text = NULL;
	struct stat st;

	(void)state;
	log_name("xnbd-test");
	assert_int_equal(log_to_file(temp_path(&temp, "log"), NULL), 0);
	assert_false(log_on_stderr());
	assert_int_equal(stat(temp.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	errno = EXDEV;
	log_warn("%s is %d", "disk", 5);
	assert_int_equal(errno, EXDEV);
	text = read_log();
	assert_int_equal(sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ xnbd-test[%d] %n", &year,
				 &month, &day, &hour, &minute, &second, &ms, &pid, &used),
		8);
	assert_int_equal(pid, getpid());
	assert_string_equal(text + used, "warning: disk is 5\n");
}

static void test_levels(void **state)
{
	CLEANUP_FREE char *text = NULL;

	(void)state;
	empty_log();
	for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
		log_level(level);
		log_error("e");
		log_warn("w");
		log_info("i");
		log_debug("d");
	}
	log_level(LOG_LEVEL_INFO);
	text = read_log();
	assert_int_equal(count_lines(text, "error: e\n"), 4);
	assert_int_equal(count_lines(text, "warning: w\n"), 3);
	assert_int_equal(count_lines(text, "info: i\n"), 2);
	assert_int_equal(count_lines(text, "debug: d\n"), 1);
}

static void test_level_names(void **state)
{
	static const char *const wrong[] = {"", "Error", "warning", "debug ", "info,debug"};
	enum log_level got = LOG_LEVEL_WARN;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_false(log_level_parse(wrong[i], &got));
	assert_int_equal(got, LOG_LEVEL_WARN);
	for (enum log_level level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
		assert_true(log_level_parse(log_level_name(level), &got));
		assert_int_equal(got, level);
		assert_non_null(strstr(LOG_LEVEL_NAMES, log_level_name(level)));
		log_level(level);
		assert_int_equal(log_level_now(), level);
	}
	log_level(LOG_LEVEL_INFO);
}

static void test_foreign_bytes(void **state)
{
	CLEANUP_FREE char *text = NULL;

	(void)state;
	empty_log();
	log_info("name '%s'", "a\nerror: forged\x1b[2J\xff");
	text = read_log();
	assert_int_equal(count_lines(text, "\n"), 1);
	assert_non_null(strstr(text, "name 'a\\x0aerror: forged\\x1b[2J\\xff'\n"));
}

static void test_long_line(void **state)
{
	CLEANUP_FREE char *text = NULL;
	char big[8000];

	(void)state;
	empty_log();
	memset(big, '\n', sizeof(big));
	big[sizeof(big) - 1] = 0;
	log_info("%s", big);
	text = read_log();
	assert_int_equal(count_lines(text, "\n"), 1);
	assert_true(strlen(text) > 1000 && strlen(text) < 2300);
	assert_int_equal(text[strlen(text) - 1], '\n');
}

static void test_peers_cannot_flood(void **state)
{
	CLEANUP_FREE char *text = NULL;

	(void)state;
	empty_log();
	clock_set_for_test(1000000);
	for (int i = 0; i < 50; i++)
		log_peer(LOG_LEVEL_INFO, "peer line");
	log_peer(LOG_LEVEL_DEBUG, "below the level: not counted");
	clock_set_for_test(1000000 + 9999);
	log_peer(LOG_LEVEL_INFO, "peer line");
	clock_set_for_test(1000000 + 10000);
	log_peer(LOG_LEVEL_INFO, "peer line");
	log_peer(LOG_LEVEL_INFO, "peer line");
	clock_set_for_test(UINT64_MAX);
	text = read_log();
	assert_int_equal(count_lines(text, "peer line\n"), 22);
	assert_int_equal(count_lines(text, "31 lines about clients were left out"), 1);
}

/* Lines begin with what they are about, the same way everywhere. */
static void test_subjects(void **state)
{
	static const char euros[] = "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac";
	const struct log_subject numbered = {"vm1", 12, "192.0.2.1:4711"},
				 fresh = {.peer = "[::1]:5"};
	CLEANUP_FREE char *text = NULL;
	char name[200] = "";

	(void)state;
	empty_log();
	log_export(LOG_LEVEL_WARN, "vm1", "is %s", "busy");
	log_export(LOG_LEVEL_DEBUG, "vm1", "too low");
	log_about(LOG_LEVEL_INFO, &numbered, "evicted");
	log_client(LOG_LEVEL_INFO, &fresh, "handshake ended");
	log_own_export("disk");
	log_info("own");
	log_client(LOG_LEVEL_INFO, &fresh, "ended");
	log_export(LOG_LEVEL_INFO, "other", "another's");
	log_own_export("");
	log_info("none");
	memset(name, 'n', 126);
	strcat(name, euros);
	log_export(LOG_LEVEL_INFO, name, "cut between characters");
	text = read_log();
	assert_non_null(strstr(text, "warning: vm1: is busy\n"));
	assert_null(strstr(text, "too low"));
	assert_non_null(strstr(text, "info: vm1: client 12 (192.0.2.1:4711): evicted\n"));
	assert_non_null(strstr(text, "info: client [::1]:5: handshake ended\n"));
	assert_non_null(strstr(text, "info: disk: own\n"));
	assert_non_null(strstr(text, "info: disk: client [::1]:5: ended\n"));
	assert_non_null(strstr(text, "info: other: another's\n"));
	assert_non_null(strstr(text, "info: none\n"));
	assert_non_null(strstr(text, "nnn...: cut between characters\n"));
}

/* Where the journal reads stderr, lines carry their priority; under another's stderr they do not.
 */
static void test_priorities_on_stderr(void **state)
{
	int kept = dup(STDERR_FILENO),
	    file = open(temp_path(&temp, "stderr"), O_RDWR | O_CREAT, 0600);
	CLEANUP_FREE char *text = NULL;
	struct stat st;
	char stream[64];
	size_t len;

	(void)state;
	assert_true(kept >= 0 && file >= 0 && fstat(file, &st) == 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		(unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_name("xnbd-test");
	dup2(file, STDERR_FILENO);
	log_warn("another stderr");
	log_name("xnbd-test");
	log_error("e");
	log_info("i");
	dup2(kept, STDERR_FILENO);
	unsetenv("JOURNAL_STREAM");
	log_name("xnbd-test");
	assert_int_equal(fs_read(temp_path(&temp, "stderr"), 4096, &text, &len, NULL), 0);
	assert_string_equal(text,
		"xnbd-test: warning: another stderr\n"
		"<3>xnbd-test: error: e\n<6>xnbd-test: info: i\n");
	close(kept);
	close(file);
}

static char function_got[256];

static void take_line(enum log_level level, const struct log_subject *about, const char *text)
{
	snprintf(function_got, sizeof(function_got), "%d %s%s", level,
		about->peer ? about->peer : "", text);
}

/* A sandboxed process hands its lines to its parent, who logs them as they are. */
static void test_function_and_line(void **state)
{
	CLEANUP_FREE char *text = NULL;

	(void)state;
	empty_log();
	log_to_function(take_line);
	log_warn("a\nb");
	assert_string_equal(function_got, "1 a\\x0ab");
	log_debug("too low");
	assert_string_equal(function_got, "1 a\\x0ab");
	log_client(LOG_LEVEL_INFO, &(struct log_subject){.peer = "p"}, "ends");
	assert_string_equal(function_got, "2 pclient p: ends");
	log_to_function(NULL);
	log_line(LOG_LEVEL_WARN, &(struct log_subject){0}, "from elsewhere");
	log_line(LOG_LEVEL_DEBUG, &(struct log_subject){0}, "too low");
	text = read_log();
	assert_int_equal(count_lines(text, "\n"), 1);
	assert_non_null(strstr(text, "warning: from elsewhere\n"));
}

static int tear_down(void **state)
{
	(void)state;
	temp_done(&temp);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_err),
		cmocka_unit_test(test_stderr_first),
		cmocka_unit_test(test_priorities_on_stderr),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_level_names),
		cmocka_unit_test(test_foreign_bytes),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_peers_cannot_flood),
		cmocka_unit_test(test_subjects),
		cmocka_unit_test(test_function_and_line),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
