/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How often something may happen: in memory with times of our own, and in a file of many processes.
 */
#include "proxy_rate.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static void test_window(void **state)
{
	struct proxy_rate r = {0};

	(void)state;
	assert_true(proxy_rate_add(&r, 1000, 100, 2));
	assert_true(proxy_rate_add(&r, 1050, 100, 2));
	assert_false(proxy_rate_add(&r, 1099, 100, 2));
	assert_true(proxy_rate_add(&r, 1100, 100, 2)); /* the first one is over */
	assert_false(proxy_rate_add(&r, 1149, 100, 2));
	assert_true(proxy_rate_add(&r, 1150, 100, 2));
	assert_false(proxy_rate_add(&r, 1150, 100, 0));
}

/* Times of another boot, or of a file somebody made: they do not count for ever. */
static void test_future(void **state)
{
	struct proxy_rate r = {.count = 2, .times = {5000, 6000}};

	(void)state;
	assert_true(proxy_rate_add(&r, 1000, 100, 1));
	assert_int_equal(r.count, 1);
}

static void test_most(void **state)
{
	struct proxy_rate r = {0};

	(void)state;
	for (unsigned i = 0; i < PROXY_RATE_MAX; i++)
		assert_true(proxy_rate_add(&r, 1, 100, SIZE_MAX));
	assert_false(proxy_rate_add(&r, 1, 100, SIZE_MAX));
}

static void test_parse(void **state)
{
	struct proxy_rate r;
	char many[4000] = "";

	(void)state;
	proxy_rate_parse(&r, "1\n22\nx\n\n-3\n99999999999999999999999999999999\n4");
	assert_int_equal(r.count, 3);
	assert_int_equal(r.times[2], 4);
	proxy_rate_parse(&r, "");
	assert_int_equal(r.count, 0);
	for (unsigned i = 0; i < 1000; i++)
		strcat(many, "7\n");
	proxy_rate_parse(&r, many);
	assert_int_equal(r.count, PROXY_RATE_MAX);
}

static void test_file(void **state)
{
	struct err err;
	uint64_t time;
	struct temp t;
	const char *path;
	struct stat st;

	(void)state;
	temp_init(&t);
	path = temp_path(&t, "rate");
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(proxy_rate_take(path, 3600000, 3, &time, &err), 1);
	assert_int_equal(proxy_rate_take(path, 3600000, 3, &time, &err), 0);
	assert_int_equal(proxy_rate_take(path, 3600000, 4, &time, &err), 1);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	temp_file(&t, "rate", "garbage\n\x01\x02");
	assert_int_equal(proxy_rate_take(path, 3600000, 1, &time, &err), 1);
	assert_int_equal(proxy_rate_take(path, 3600000, 1, &time, &err), 0);
	temp_done(&t);
}

/* What came to nothing does not count; of another time nothing is taken. */
static void test_give_back(void **state)
{
	struct err err;
	uint64_t time, first;
	struct temp t;
	const char *path;

	(void)state;
	temp_init(&t);
	path = temp_path(&t, "rate");
	assert_int_equal(proxy_rate_give_back(path, 1, &err), -ENOENT);
	assert_int_equal(proxy_rate_take(path, 3600000, 2, &first, &err), 1);
	assert_int_equal(proxy_rate_take(path, 3600000, 2, &time, &err), 1);
	assert_int_equal(proxy_rate_give_back(path, 1, &err), 0);
	assert_int_equal(proxy_rate_take(path, 3600000, 2, &time, &err), 0);
	assert_int_equal(proxy_rate_give_back(path, first, &err), 0);
	assert_int_equal(proxy_rate_take(path, 3600000, 2, &time, &err), 1);
	assert_int_equal(proxy_rate_take(path, 3600000, 2, &time, &err), 0);
	temp_done(&t);
}

static void test_no_file(void **state)
{
	struct err err = {0};
	uint64_t time;
	struct temp t;
	char path[TEMP_PATH_MAX];

	(void)state;
	temp_init(&t);
	assert_int_equal(proxy_rate_take(temp_path(&t, "no/rate"), 1000, 1, &time, &err), -ENOENT);
	assert_non_null(strstr(err.text, "no/rate"));
	snprintf(path, sizeof(path), "%s", temp_file(&t, "target", "text"));
	assert_int_equal(symlink(path, temp_path(&t, "link")), 0);
	assert_int_equal(proxy_rate_take(temp_path(&t, "link"), 1000, 1, &time, &err), -ELOOP);
	temp_done(&t);
}

/* Who has the file for long does not hold anybody up for ever. */
static void test_held(void **state)
{
	struct err err = {0};
	uint64_t time;
	struct temp t;
	const char *path;
	int fd;

	(void)state;
	temp_init(&t);
	path = temp_file(&t, "rate", "");
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(proxy_rate_take(path, 1000, 1, &time, &err), -EBUSY);
	close(fd);
	assert_int_equal(proxy_rate_take(path, 1000, 1, &time, &err), 1);
	temp_done(&t);
}

/* Of many at once exactly as many as may. */
static void test_crowd(void **state)
{
	enum { CROWD = 20, LIMIT = 7 };
	struct temp t;
	const char *path;
	int taken = 0, status;

	(void)state;
	temp_init(&t);
	path = temp_path(&t, "rate");
	for (unsigned i = 0; i < CROWD; i++) {
		struct err err;
		uint64_t time;

		if (fork() == 0) {
			int r;

			while ((r = proxy_rate_take(path, 3600000, LIMIT, &time, &err)) == -EBUSY)
				;
			_exit(r < 0 ? 2 : r);
		}
	}
	for (unsigned i = 0; i < CROWD; i++) {
		assert_true(wait(&status) > 0);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
		taken += WEXITSTATUS(status);
	}
	assert_int_equal(taken, LIMIT);
	temp_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_future),
		cmocka_unit_test(test_most),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_give_back),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_crowd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
