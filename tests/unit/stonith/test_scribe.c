/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scribe.h: lines arrive, errors come back, and a log that does not answer holds nobody up. */
#include "scribe.h"

#include "check.h"
#include "clock.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct temp temp;
static char path[512];

static int set_up(void **state)
{
	(void)state;
	temp_init(&temp);
	snprintf(path, sizeof(path), "%s/log", temp.folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	temp_done(&temp);
	return 0;
}

static json_t *line(int number)
{
	return json_pack("{s:i}", "line", number);
}

/* As another process does that writes to it. */
static int lock_log(void)
{
	char head[600];
	int fd;

	snprintf(head, sizeof(head), "%s.head", path);
	fd = open(head, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0 && flock(fd, LOCK_EX) == 0);
	return fd;
}

static uint64_t lines_in_log(void)
{
	struct audit_check check;
	struct err err;

	assert_int_equal(audit_verify(path, NULL, NULL, true, &check, &err), 0);
	assert_string_equal(check.why, "");
	return check.lines;
}

static int append(
	struct scribe *s, int number, uint64_t ms, struct audit_head *head, struct err *err)
{
	json_t *j = line(number);
	int r = scribe_append(s, j, ms, head, err);

	json_decref(j);
	return r;
}

static void test_lines(void **state)
{
	struct scribe *s = scribe_new(path);
	struct audit_head head = {0};
	struct err err;

	(void)state;
	assert_non_null(s);
	for (int i = 1; i <= 3; i++) {
		assert_int_equal(append(s, i, 60000, &head, &err), 0);
		assert_int_equal(head.seq, i);
	}
	assert_int_equal(append(s, 4, 60000, NULL, &err), 0);
	scribe_free(s);
	assert_int_equal(lines_in_log(), 4);
}

static void test_errors_come_back(void **state)
{
	char nowhere[600];
	struct scribe *s;
	struct err err;

	(void)state;
	snprintf(nowhere, sizeof(nowhere), "%s/none/log", temp.folder);
	CHECK(close(open(strcat(strcpy(nowhere, temp.folder), "/none"), O_CREAT | O_WRONLY,
		      0600)) == 0);
	strcat(nowhere, "/log");
	s = scribe_new(nowhere);
	assert_int_equal(append(s, 1, 60000, NULL, &err), -ENOTDIR);
	assert_non_null(strstr(err.text, "none/log"));
	scribe_free(s);
}

/* Another process has the log, and does not give it up. */
static void test_late(void **state)
{
	struct scribe *s = scribe_new(path);
	struct err err;
	int fd;

	(void)state;
	assert_int_equal(append(s, 1, 60000, NULL, &err), 0);
	fd = lock_log();
	assert_int_equal(append(s, 2, 10, NULL, &err), -ETIMEDOUT);
	close(fd);
	/* The answer to the second line, which came late, is not taken for that to the third. */
	assert_int_equal(append(s, 3, 60000, NULL, &err), 0);
	scribe_free(s);
	assert_int_equal(lines_in_log(), 3);
}

/* It goes on without us, and leaves no zombie. */
static void test_outlives_us(void **state)
{
	struct scribe *s = scribe_new(path);
	uint64_t until = clock_ms() + 60000;
	struct audit_check check = {0};
	struct err err;
	int fd;

	(void)state;
	assert_int_equal(append(s, 1, 60000, NULL, &err), 0);
	fd = lock_log();
	assert_int_equal(append(s, 2, 0, NULL, &err), -ETIMEDOUT);
	scribe_free(s);
	close(fd);
	while (check.lines < 2 && clock_ms() < until)
		audit_verify(path, NULL, NULL, false, &check, &err);
	assert_int_equal(check.lines, 2);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void test_too_long(void **state)
{
	struct scribe *s = scribe_new(path);
	char *text = calloc(1, AUDIT_LINE_MAX + 1);
	struct err err;
	json_t *j;

	(void)state;
	memset(text, 'x', AUDIT_LINE_MAX);
	j = json_pack("{s:s}", "text", text);
	assert_int_equal(scribe_append(s, j, 60000, NULL, &err), -EMSGSIZE);
	json_decref(j);
	free(text);
	assert_int_equal(append(s, 1, 60000, NULL, &err), 0);
	scribe_free(s);
	scribe_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lines),
		TEST(test_errors_come_back),
		TEST(test_late),
		TEST(test_outlives_us),
		TEST(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
