/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A record is replaced exactly between the look at it and its opening: by a link, a stranger's
 * file, a pipe, a folder. The library's fstatat(2) is ours here, so that this is no matter of luck
 * (case 21 of the reference page; with luck: test_retire.c).
 */
#include "monlist_inner.h"
#include "need.h"
#include "statedir.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cmocka.h>

enum { STRANGER = 12345 };

#define LINE   STATEDIR_LINE
#define RECORD LINE("10.9.0.2", "record") "\n"
#define SECRET LINE("6.6.6.6", "secret") "\n"

static struct statedir dir;
static struct monlist list;
static bool armed;
static unsigned swaps;

/* Behind the back of who looks at "peer": FOLDER/beside takes its place. */
int fstatat(int folder, const char *restrict name, struct stat *restrict st, int flags)
{
	int r = (int)syscall(SYS_newfstatat, folder, name, st, flags);

	if (armed && strcmp(name, "peer") == 0) {
		char beside[1024];

		snprintf(beside, sizeof(beside), "%s/beside", dir.temp.folder);
		swaps += renameat(AT_FDCWD, beside, folder, name) == 0;
	}
	return r;
}

static int set_up(void **state)
{
	struct err err = {0};

	(void)state;
	statedir_init(&dir);
	statedir_put(&dir, "sm.bak/peer", RECORD);
	statedir_put(&dir, "secret", SECRET);
	monlist_init(&list);
	armed = false;
	swaps = 0;
	return monlist_open(&list, dir.temp.folder, &err);
}

static int tear_down(void **state)
{
	(void)state;
	armed = false;
	monlist_close(&list);
	statedir_done(&dir);
	return 0;
}

static void check_refused(void)
{
	struct err err = {0};

	armed = true;
	assert_int_equal(monlist_load(&list, &err), 0);
	armed = false;
	assert_true(swaps > 0);
	assert_int_equal(list.peer_count, 0);
	assert_false(list.complete);
	assert_int_equal(dir.lines, 1);
	assert_string_equal(statedir_text(&dir, "secret"), SECRET);
	assert_string_equal(statedir_names(&dir, "sm.bak"), "peer"); /* left alone */
}

static void test_nothing_swapped(void **state)
{
	(void)state;
	assert_int_equal(monlist_load(&list, NULL), 0);
	assert_int_equal(list.peer_count, 1);
}

static void test_a_link(void **state)
{
	(void)state;
	assert_int_equal(symlink("../secret", statedir_path(&dir, "beside")), 0);
	check_refused();
}

static void test_a_strangers_file(void **state)
{
	(void)state;
	need_root();
	statedir_put(&dir, "beside", SECRET);
	assert_int_equal(chown(dir.path, STRANGER, STRANGER), 0);
	check_refused();
	assert_non_null(strstr(dir.log, "belongs to user 12345"));
}

/* Opening one that nobody writes to would wait for ever. */
static void test_a_pipe(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(statedir_path(&dir, "beside"), 0600), 0);
	check_refused();
	assert_non_null(strstr(dir.log, "a pipe"));
}

static void test_another_record(void **state)
{
	(void)state;
	statedir_put(&dir, "beside", LINE("10.9.0.2", "other") "\n");
	armed = true;
	assert_int_equal(monlist_load(&list, NULL), 0);
	assert_int_equal(list.record_count, 1);
	assert_string_equal(monlist_record_my(&list, list.records), "other");
	assert_true(list.complete);
}

/* The same when an acknowledged record is to be removed. */
static void test_a_link_when_it_is_told(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(monlist_load(&list, NULL), 0);
	assert_int_equal(symlink("../secret", statedir_path(&dir, "beside")), 0);
	armed = true;
	assert_true(monlist_drop(&list, list.peers, list.records, &err) < 0);
	armed = false;
	assert_int_equal(swaps, 1);
	assert_string_equal(statedir_text(&dir, "secret"), SECRET);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_swapped),
		TEST(test_a_link),
		TEST(test_a_strangers_file),
		TEST(test_a_pipe),
		TEST(test_another_record),
		TEST(test_a_link_when_it_is_told),
	};

	return need_status(cmocka_run_group_tests(tests, NULL, NULL));
}
