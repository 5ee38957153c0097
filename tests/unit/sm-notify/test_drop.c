/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Acknowledged records leave the disk, others stay byte by byte (cases 16 to 18, 22, 23, 72 of the
 * reference page).
 */
#include "monlist_inner.h"
#include "statedir.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#define LINE  STATEDIR_LINE
#define A     LINE("10.9.0.2", "a.lab.test") "\n"
#define B     LINE("10.9.0.2", "b.lab.test") "\n"
#define ASIDE "sm.bak/" MONLIST_ASIDE

static struct statedir dir;
static struct monlist list;

static int set_up(void **state)
{
	(void)state;
	statedir_init(&dir);
	monlist_init(&list);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	monlist_close(&list);
	statedir_done(&dir);
	return 0;
}

static void load(const char *content)
{
	struct err err = {0};

	monlist_close(&list);
	monlist_init(&list);
	statedir_put(&dir, "sm.bak/peer", content);
	assert_int_equal(monlist_open(&list, dir.temp.folder, &err), 0);
	assert_int_equal(monlist_load(&list, &err), 0);
	statedir_forget_log(&dir);
}

static int drop(const char *my)
{
	struct monlist_peer *p = &list.peers[0];
	struct err err = {0};
	int r;

	for (uint32_t i = 0; i < p->count; i++) {
		struct monlist_record *record = monlist_record_at(&list, p, i);

		if (strcmp(monlist_record_my(&list, record), my) != 0)
			continue;
		r = monlist_drop(&list, p, record, &err);
		assert_int_equal(r<0, err.code> 0);
		return r;
	}
	fail_msg("%s is not there", my);
	return 0;
}

static void flush(void)
{
	struct err err = {0};

	if (monlist_flush(&list, &err) < 0)
		fail_msg("%s", err.text);
	assert_false(monlist_is_dirty(&list));
}

static void test_the_only_record(void **state)
{
	(void)state;
	load(A);
	assert_int_equal(drop("a.lab.test"), 0);
	assert_string_equal(statedir_names(&dir, "sm.bak"), "");
	assert_true(monlist_is_dirty(&list));
	flush();
	assert_int_equal(drop("a.lab.test"), 0); /* a second time */
	assert_false(monlist_is_dirty(&list));
	assert_int_equal(dir.lines, 0);
}

static void test_duplicate_lines(void **state)
{
	(void)state;
	load(A A "\n" LINE("10.9.0.2", "a.lab.test"));
	assert_int_equal(list.record_count, 1);
	assert_int_equal(drop("a.lab.test"), 0);
	assert_string_equal(statedir_names(&dir, "sm.bak"), "");
	assert_int_equal(dir.lines, 0);
}

static void test_one_of_two(void **state)
{
	static const char other[] =
		"0100007f 000186b5 00000004 00000018 DEADBEEF000000000000000000C0FFEE "
		"10.9.0.2  b.lab.test \r";
	char content[500];
	struct stat st;

	(void)state;
	snprintf(content, sizeof(content), A "%s", other);
	load(content);
	statedir_age(&dir, "sm.bak/peer", 1000);
	assert_int_equal(chmod(statedir_path(&dir, "sm.bak/peer"), 0640), 0);
	assert_int_equal(drop("a.lab.test"), 0);
	assert_string_equal(statedir_text(&dir, "sm.bak/peer"), content); /* not yet */
	flush();
	assert_string_equal(statedir_text(&dir, "sm.bak/peer"), other);
	assert_int_equal(stat(statedir_path(&dir, "sm.bak/peer"), &st), 0);
	assert_int_equal(st.st_mtim.tv_sec, 1000); /* its place in the order */
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(drop("b.lab.test"), 0);
	assert_string_equal(statedir_names(&dir, "sm.bak"), "");
}

static void test_both_at_once(void **state)
{
	(void)state;
	load(A B);
	assert_int_equal(drop("b.lab.test"), 0);
	assert_int_equal(list.partial, 1);
	assert_int_equal(drop("a.lab.test"), 0);
	assert_int_equal(list.partial, 0);
	assert_string_equal(statedir_names(&dir, "sm.bak"), "");
	flush();
}

/* What is no record stays, and goes aside when the peer is told. */
static void test_garbage_beside_records(void **state)
{
	(void)state;
	load("garbage\n" A "more");
	assert_int_equal(drop("a.lab.test"), 0);
	assert_string_equal(statedir_text(&dir, ASIDE "/peer"), "garbage\nmore");
	assert_string_equal(statedir_names(&dir, "sm.bak"), MONLIST_ASIDE);
}

/* rpc.statd is not supposed to write here; if it does, nothing is lost. */
static void test_lines_added_meanwhile(void **state)
{
	(void)state;
	load(A);
	statedir_put(&dir, "sm.bak/peer", A B);
	assert_int_equal(drop("a.lab.test"), 0);
	assert_string_equal(statedir_text(&dir, ASIDE "/peer"), B);
	load(A);
	statedir_put(&dir, "sm.bak/peer", B);
	assert_int_equal(drop("a.lab.test"), 0);
	assert_string_equal(statedir_text(&dir, ASIDE "/peer~1"), B);
}

static void test_file_gone_meanwhile(void **state)
{
	(void)state;
	load(A);
	unlink(statedir_path(&dir, "sm.bak/peer"));
	assert_int_equal(drop("a.lab.test"), 0);
	assert_int_equal(dir.lines, 0);
	flush();
}

static void test_link_meanwhile(void **state)
{
	struct err err = {0};

	(void)state;
	load(A);
	statedir_put(&dir, "secret", A B);
	unlink(statedir_path(&dir, "sm.bak/peer"));
	assert_int_equal(symlink("../secret", statedir_path(&dir, "sm.bak/peer")), 0);
	assert_int_equal(drop("a.lab.test"), -EINVAL);
	assert_string_equal(statedir_text(&dir, "secret"), A B);
	assert_true(statedir_has(&dir, "sm.bak/peer"));
	assert_int_equal(dir.lines, 1);
	for (int i = 0; i < 3; i++) { /* tried again, not said again */
		assert_true(monlist_flush(&list, &err) < 0);
		assert_non_null(strstr(err.text, "not rewritten"));
		assert_true(monlist_is_dirty(&list));
	}
	assert_int_equal(dir.lines, 1);
	unlink(statedir_path(&dir, "sm.bak/peer"));
	flush();
}

static void test_the_longest_names(void **state)
{
	static char content[4000];
	size_t used = strlen(LINE("", ""));

	(void)state;
	memcpy(content, LINE("", ""), used - 1);
	memset(content + used - 1, 'm', 1024);
	content[used - 1 + 1024] = ' ';
	memset(content + used + 1024, 'y', 1024);
	content[used + 2048] = 0;
	load(content);
	assert_int_equal(list.record_count, 1);
	assert_int_equal(drop(content + used + 1024), 0);
	assert_string_equal(statedir_names(&dir, "sm.bak"), "");
}

static void test_many_records(void **state)
{
	enum { COUNT = 3000 };
	FILE *f = fopen(statedir_path(&dir, "sm.bak/peer"), "we");
	struct err err = {0};

	(void)state;
	for (int i = 0; i < COUNT; i++)
		fprintf(f, LINE("m", "my%d") "\n", i);
	fclose(f);
	assert_int_equal(monlist_open(&list, dir.temp.folder, &err), 0);
	assert_int_equal(monlist_load(&list, &err), 0);
	for (uint32_t i = 0; i < COUNT; i += 2)
		assert_int_equal(monlist_drop(&list, list.peers,
					 monlist_record_at(&list, list.peers, i), &err),
			0);
	flush();
	assert_int_equal(list.peers[0].left, COUNT / 2);
	for (uint32_t i = 1; i < COUNT; i += 2)
		assert_int_equal(monlist_drop(&list, list.peers,
					 monlist_record_at(&list, list.peers, i), &err),
			0);
	assert_string_equal(statedir_names(&dir, "sm.bak"), "");
}

/* No room for the new version: the old one stays, and the next flush tries again. */
static void test_no_room(void **state)
{
	struct rlimit before, none;
	struct err err = {0};

	(void)state;
	load(A B);
	assert_int_equal(drop("a.lab.test"), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none = before;
	none.rlim_cur = 10;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_true(monlist_flush(&list, &err) < 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_non_null(strstr(err.text, "sm.bak/peer"));
	assert_string_equal(statedir_text(&dir, "sm.bak/peer"), A B);
	assert_string_equal(statedir_names(&dir, "sm.bak"), "peer");
	assert_true(monlist_is_dirty(&list));
	flush();
	assert_string_equal(statedir_text(&dir, "sm.bak/peer"), B);
	assert_int_equal(dir.lines, 0); /* that is for who called */
}

static void test_in_place(void **state)
{
	struct err err = {0};

	(void)state;
	statedir_put(&dir, "sm.bak/peer", A);
	assert_int_equal(monlist_open(&list, dir.temp.folder, &err), 0);
	assert_int_equal(monlist_load_in_place(&list, &err), 0);
	assert_int_equal(drop("a.lab.test"), 0);
	assert_int_equal(list.peers[0].left, 0);
	assert_false(monlist_is_dirty(&list));
	flush();
	assert_string_equal(statedir_text(&dir, "sm.bak/peer"), A);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_only_record),
		TEST(test_duplicate_lines),
		TEST(test_one_of_two),
		TEST(test_both_at_once),
		TEST(test_garbage_beside_records),
		TEST(test_lines_added_meanwhile),
		TEST(test_file_gone_meanwhile),
		TEST(test_link_meanwhile),
		TEST(test_the_longest_names),
		TEST(test_many_records),
		TEST(test_no_room),
		TEST(test_in_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
