/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Out of sm into sm.bak: nothing is lost, joined twice or followed; what a crash left is taken up
 * again (cases 15, 16, 20, 21, 25, 26 of the reference page).
 */
#include "clock.h"
#include "monlist_inner.h"
#include "need.h"
#include "statedir.h"
#include "util.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { STRANGER = 12345 };

#define LINE STATEDIR_LINE
#define OLD  LINE("10.9.0.2", "old.lab.test") "\n"
#define NEW  LINE("10.9.0.2", "new.lab.test") "\n"
/* As NEW, written by another boot. */
#define NEW2                                                                                       \
	"0100007f 000186b5 00000003 00000010 99999999999999999999999999999999 "                    \
	"10.9.0.2 new.lab.test\n"

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

static void retire(bool complete)
{
	struct err err = {0};

	monlist_close(&list);
	monlist_init(&list);
	statedir_forget_log(&dir);
	assert_int_equal(monlist_open(&list, dir.temp.folder, &err), 0);
	if (monlist_retire(&list, &err) < 0)
		fail_msg("%s", err.text);
	if (list.complete != complete)
		fail_msg("complete: %d\n%s", list.complete, dir.log);
	assert_false(monlist_is_dirty(&list));
}

static void check_names(const char *sm, const char *bak)
{
	assert_string_equal(statedir_names(&dir, "sm"), sm);
	assert_string_equal(statedir_names(&dir, "sm.bak"), bak);
}

static void check_text(const char *name, const char *want)
{
	assert_string_equal(statedir_text(&dir, name), want);
}

static void test_nothing(void **state)
{
	(void)state;
	retire(true);
	check_names("", "");
}

static void test_moved(void **state)
{
	struct stat before, after;

	(void)state;
	statedir_put(&dir, "sm/a", NEW);
	statedir_put(&dir, "sm/fd77::2", NEW);
	statedir_put(&dir, "sm/.hidden", NEW);
	statedir_put(&dir, "sm.bak/b", OLD);
	assert_int_equal(stat(statedir_path(&dir, "sm/a"), &before), 0);
	retire(true);
	check_names(".hidden", "a b fd77::2");
	assert_int_equal(stat(statedir_path(&dir, "sm.bak/a"), &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(dir.lines, 0);
	retire(true);
	check_names(".hidden", "a b fd77::2");
}

static void test_thousands(void **state)
{
	char name[64];

	(void)state;
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "sm/peer%d.lab.test", i);
		statedir_put(&dir, name, NEW);
	}
	retire(true);
	assert_string_equal(statedir_names(&dir, "sm"), "");
	assert_int_equal(monlist_load(&list, NULL), 0);
	assert_int_equal(list.peer_count, 5000);
}

static void test_joined(void **state)
{
	struct stat st;

	(void)state;
	statedir_put(&dir, "sm.bak/a", OLD);
	statedir_put(&dir, "sm/a", NEW);
	statedir_age(&dir, "sm.bak/a", 1000);
	statedir_age(&dir, "sm/a", 2000);
	assert_int_equal(chmod(statedir_path(&dir, "sm/a"), 0640), 0);
	retire(true);
	check_names("", "a");
	check_text("sm.bak/a", NEW OLD);
	assert_int_equal(stat(statedir_path(&dir, "sm.bak/a"), &st), 0);
	assert_int_equal(st.st_mtim.tv_sec, 2000);
	assert_int_equal(st.st_mode & 0777, 0640);
}

/* Boot after boot the same peer out of reach: the file does not grow. */
static void test_joined_with_the_same(void **state)
{
	(void)state;
	statedir_put(&dir, "sm.bak/a", NEW);
	statedir_put(&dir, "sm/a", NEW2);
	retire(true);
	check_names("", "a");
	check_text("sm.bak/a", NEW2);
	statedir_put(&dir, "sm.bak/a", OLD NEW);
	statedir_put(&dir, "sm/a", NEW2);
	retire(true);
	check_text("sm.bak/a", NEW2 OLD);
}

static void test_joined_with_garbage(void **state)
{
	(void)state;
	statedir_put(&dir, "sm.bak/a", "garbage\n" OLD "\n \nmore");
	statedir_put(&dir, "sm/a", LINE("10.9.0.2", "new.lab.test"));
	retire(true);
	check_text(
		"sm.bak/a", NEW "garbage\n" OLD "more\n"); /* bytes that may be a record's stay */
	check_names("", "a");
	statedir_put(&dir, "sm.bak/a", "garbage");
	statedir_put(&dir, "sm/a", "");
	retire(true);
	check_text("sm.bak/a", "garbage\n");
}

static void test_joined_with_long_lines(void **state)
{
	static char text[20000], want[20000 + 200];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	memcpy(text + 12000, "\n", 1);
	statedir_put(&dir, "sm.bak/a", text);
	statedir_put(&dir, "sm/a", NEW);
	retire(true);
	snprintf(want, sizeof(want), NEW "%s\n", text);
	check_text("sm.bak/a", want);
}

/* Every state in which a crash can leave a file that is being joined. */
static void test_after_a_crash(void **state)
{
	(void)state;
	/* moved beside, not yet joined */
	statedir_put(&dir, "sm.bak/a", OLD);
	statedir_put(&dir, "sm.bak/.+a", NEW);
	retire(true);
	check_names("", "a");
	check_text("sm.bak/a", NEW OLD);
	/* the same while a temporary file was written */
	statedir_put(&dir, "sm.bak/a", OLD);
	statedir_put(&dir, "sm.bak/.+a", NEW);
	statedir_put(&dir, "sm.bak/" MONLIST_TEMP, "0100007f 0001");
	retire(true);
	check_names("", "a");
	check_text("sm.bak/a", NEW OLD);
	/* joined, not yet removed */
	statedir_put(&dir, "sm.bak/a", NEW OLD);
	statedir_put(&dir, "sm.bak/.+a", NEW);
	retire(true);
	check_names("", "a");
	check_text("sm.bak/a", NEW OLD);
	/* and the first file told and gone meanwhile */
	unlink(statedir_path(&dir, "sm.bak/a"));
	statedir_put(&dir, "sm.bak/.+a", NEW);
	retire(true);
	check_names("", "a");
	check_text("sm.bak/a", NEW);
	/* all three places */
	statedir_put(&dir, "sm.bak/a", OLD);
	statedir_put(&dir, "sm.bak/.+a", NEW);
	statedir_put(&dir, "sm/a", LINE("10.9.0.2", "third") "\n");
	retire(true);
	check_names("", "a");
	check_text("sm.bak/a", LINE("10.9.0.2", "third") "\n" NEW OLD);
	assert_int_equal(dir.lines, 0);
}

static void test_things_that_are_no_records(void **state)
{
	(void)state;
	statedir_put(&dir, "secret", NEW);
	assert_int_equal(symlink("../secret", statedir_path(&dir, "sm/link")), 0);
	assert_int_equal(mkfifo(statedir_path(&dir, "sm/pipe"), 0600), 0);
	assert_int_equal(mkdir(statedir_path(&dir, "sm/folder"), 0700), 0);
	statedir_put(&dir, "sm/a b", NEW);
	statedir_put(&dir, "sm/peer.new", "torn");
	statedir_put(&dir, "sm/.peer.new", "torn");
	statedir_age(&dir, "sm/peer.new", 1000);
	statedir_put(&dir, "sm/a", NEW);
	retire(false);
	assert_int_equal(dir.lines, 5);
	check_names(".peer.new folder link pipe", MONLIST_ASIDE " a");
	assert_string_equal(statedir_names(&dir, "sm.bak/" MONLIST_ASIDE), "a b peer.new");
	check_text("secret", NEW);
}

/* rpc.statd had written the next version of a record, and the rename was lost. */
static void put_leftover(const char *name, const char *text)
{
	statedir_put(&dir, name, text);
	statedir_age(&dir, name, 1000);
}

static void test_leftover_is_joined(void **state)
{
	(void)state;
	statedir_put(&dir, "sm/a.test", OLD);
	put_leftover("sm/a.test.new", OLD NEW);
	put_leftover("sm/.b.test.new", NEW);
	statedir_put(&dir, "sm.bak/b.test", OLD);
	put_leftover("sm/10.9.0.2.new", NEW); /* its record is gone */
	retire(true);
	check_names("", "10.9.0.2 a.test b.test");
	check_text("sm.bak/a.test", OLD NEW);
	check_text("sm.bak/b.test", NEW OLD);
	check_text("sm.bak/10.9.0.2", NEW);
	assert_int_equal(dir.lines, 0); /* warnings */
}

static void test_two_leftovers(void **state)
{
	(void)state;
	statedir_put(&dir, "sm/a", OLD);
	put_leftover("sm/a.new", NEW);
	put_leftover("sm/.a.new", LINE("10.9.0.2", "third") "\n");
	put_leftover("sm.bak/a.new", LINE("10.9.0.2", "fourth") "\n");
	statedir_put(&dir, "sm.bak/.+a", LINE("10.9.0.2", "fifth") "\n");
	retire(true);
	check_names("", "a");
	for (size_t i = 0; i < 5; i++) {
		static const char *const all[] = {OLD, NEW, LINE("10.9.0.2", "third"),
			LINE("10.9.0.2", "fourth"), LINE("10.9.0.2", "fifth")};

		assert_non_null(strstr(statedir_text(&dir, "sm.bak/a"), all[i]));
	}
}

static void test_leftover_not_whole(void **state)
{
	static const char *const texts[] = {
		"", "x", LINE("10.9.0.2", "cut"), NEW "0100007f 0001", NEW "\n\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		tear_down(NULL);
		set_up(NULL);
		statedir_put(&dir, "sm/a.test", OLD);
		put_leftover("sm/a.test.new", texts[i]);
		put_leftover("sm/.a.test.new", texts[i]);
		retire(true); /* it never was anybody's record */
		check_names(".a.test.new", MONLIST_ASIDE " a.test");
		check_text("sm.bak/a.test", OLD);
		assert_int_equal(dir.lines, 1);
	}
}

/* It is about to be renamed. */
static void test_leftover_in_use(void **state)
{
	(void)state;
	statedir_put(&dir, "sm/a.test", OLD);
	statedir_put(&dir, "sm/a.test.new", NEW);
	statedir_put(&dir, "sm/.b.test.new", NEW);
	retire(true);
	check_names(".b.test.new a.test.new", "a.test");
	check_text("sm.bak/a.test", OLD);
	assert_int_equal(dir.lines, 0);
}

/* A host of the domain .new. */
static void test_no_leftover(void **state)
{
	(void)state;
	put_leftover("sm/a.test.new", NEW);
	put_leftover("sm/b.test.new.new", NEW);
	statedir_put(&dir, "sm/b.test.new", OLD);
	retire(true);
	check_names("", "a.test.new b.test.new");
	check_text("sm.bak/b.test.new", OLD NEW);
}

static void test_link_in_the_place_of_a_record(void **state)
{
	(void)state;
	statedir_put(&dir, "secret", OLD);
	assert_int_equal(symlink("../secret", statedir_path(&dir, "sm.bak/a")), 0);
	statedir_put(&dir, "sm/a", NEW);
	retire(false);
	check_names("", MONLIST_ASIDE " a");
	check_text("sm.bak/a", NEW);
	check_text("secret", OLD);
	assert_true(statedir_has(&dir, "sm.bak/" MONLIST_ASIDE "/a"));
}

static void test_foreign_owner(void **state)
{
	(void)state;
	need_root();
	statedir_put(&dir, "sm/a", NEW);
	statedir_put(&dir, "sm/b", NEW);
	assert_int_equal(chown(statedir_path(&dir, "sm/b"), STRANGER, 0), 0);
	retire(false);
	check_names("b", "a");
	assert_int_equal(dir.lines, 1);
}

/* A folder in sm.bak that cannot be removed: one of three records stays in sm. */
static void test_one_cannot_be_moved(void **state)
{
	(void)state;
	need_root();
	statedir_put(&dir, "sm/a", NEW);
	statedir_put(&dir, "sm/b", NEW);
	statedir_put(&dir, "sm/c", NEW);
	statedir_put(&dir, "sm.bak/b", OLD);
	statedir_put(&dir, "sm.bak/.+b", OLD);
	assert_int_equal(unlink(statedir_path(&dir, "sm.bak/.+b")), 0);
	assert_int_equal(mkdir(statedir_path(&dir, "sm.bak/.+b"), 0700), 0);
	retire(false);
	assert_int_equal(list.stuck, 2); /* it, and what has its place */
	check_names("b", ".+b a b c");
	assert_non_null(strstr(dir.log, "sm/b: not moved to sm.bak: File exists"));
	assert_int_equal(monlist_load(&list, NULL), 0);
	assert_int_equal(list.peer_count, 3);
	assert_false(list.complete);
}

static void test_nothing_can_be_moved(void **state)
{
	uid_t was = geteuid();

	(void)state;
	statedir_put(&dir, "sm/a", NEW);
	if (was == 0) {
		assert_int_equal(chmod(dir.temp.folder, 0755), 0);
		assert_int_equal(chown(statedir_path(&dir, "sm"), STRANGER, STRANGER), 0);
		assert_int_equal(chown(statedir_path(&dir, "sm/a"), STRANGER, STRANGER), 0);
		assert_int_equal(chmod(statedir_path(&dir, "sm.bak"), 0755), 0);
		assert_int_equal(seteuid(STRANGER), 0);
	} else {
		assert_int_equal(chmod(statedir_path(&dir, "sm.bak"), 0500), 0);
	}
	retire(false);
	if (was == 0)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(list.stuck, 1);
	check_names("a", "");
	chmod(statedir_path(&dir, "sm.bak"), 0700);
}

static void test_folder_not_readable(void **state)
{
	struct err err = {0};

	(void)state;
	need_root();
	assert_int_equal(monlist_open(&list, dir.temp.folder, &err), 0);
	assert_int_equal(chmod(statedir_path(&dir, "sm"), 0), 0);
	assert_int_equal(chown(statedir_path(&dir, "sm.bak"), STRANGER, STRANGER), 0);
	assert_int_equal(seteuid(STRANGER), 0);
	assert_int_equal(monlist_retire(&list, &err), -EACCES);
	assert_int_equal(seteuid(0), 0);
	assert_non_null(strstr(err.text, "/sm: Permission denied"));
	assert_false(list.complete);
}

/* Somebody replaces a record by others, by a link, and by a stranger's file, all the time. */
static atomic_bool stop;
static const char *replaced; /* "sm/a" */

static void *replace(void *arg)
{
	char record[1024], stranger[1024], target[1024], beside[1024];

	(void)arg;
	snprintf(record, sizeof(record), "%s/record", dir.temp.folder);
	snprintf(stranger, sizeof(stranger), "%s/stranger", dir.temp.folder);
	snprintf(target, sizeof(target), "%s/%s", dir.temp.folder, replaced);
	snprintf(beside, sizeof(beside), "%s/beside", dir.temp.folder);
	while (!stop) {
		unlink(beside);
		if (link(record, beside) == 0)
			rename(beside, target);
		if (symlink("../secret", beside) == 0)
			rename(beside, target);
		if (link(record, beside) == 0)
			rename(beside, target);
		if (link(stranger, beside) == 0)
			rename(beside, target);
	}
	return NULL;
}

static void check_no_secret(int (*read)(struct monlist *, struct err *))
{
	struct err err = {0};

	monlist_close(&list);
	monlist_init(&list);
	assert_int_equal(monlist_open(&list, dir.temp.folder, &err), 0);
	assert_int_equal(read(&list, &err), 0);
	for (uint32_t i = 0; i < list.record_count; i++)
		assert_string_equal(monlist_record_my(&list, &list.records[i]), "new.lab.test");
}

/* 10,000 times, or as many as there is time for. */
static void race(const char *name, int (*read)(struct monlist *, struct err *))
{
	pthread_t thread;
	uint64_t end = clock_ms() + 1500;

	statedir_put(&dir, "record", NEW);
	statedir_put(&dir, "secret", LINE("6.6.6.6", "secret") "\n");
	statedir_put(&dir, "stranger", LINE("6.6.6.6", "secret") "\n");
	if (geteuid() == 0)
		assert_int_equal(chown(dir.path, STRANGER, STRANGER), 0);
	else
		unlink(dir.path);
	replaced = name;
	stop = false;
	assert_int_equal(pthread_create(&thread, NULL, replace, NULL), 0);
	for (int i = 0; i < 10000 && clock_ms() < end; i++)
		check_no_secret(read);
	stop = true;
	pthread_join(thread, NULL);
	check_text("secret", LINE("6.6.6.6", "secret") "\n");
}

static int retire_and_load(struct monlist *l, struct err *err)
{
	int r = monlist_retire(l, err);

	return r < 0 ? r : monlist_load(l, err);
}

static void test_race_while_moving(void **state)
{
	(void)state;
	race("sm/a", retire_and_load);
}

static void test_race_while_reading(void **state)
{
	(void)state;
	race("sm.bak/a", monlist_load_in_place);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing),
		TEST(test_moved),
		TEST(test_thousands),
		TEST(test_joined),
		TEST(test_joined_with_the_same),
		TEST(test_joined_with_garbage),
		TEST(test_joined_with_long_lines),
		TEST(test_after_a_crash),
		TEST(test_things_that_are_no_records),
		TEST(test_leftover_is_joined),
		TEST(test_two_leftovers),
		TEST(test_leftover_not_whole),
		TEST(test_leftover_in_use),
		TEST(test_no_leftover),
		TEST(test_link_in_the_place_of_a_record),
		TEST(test_foreign_owner),
		TEST(test_one_cannot_be_moved),
		TEST(test_nothing_can_be_moved),
		TEST(test_folder_not_readable),
		TEST(test_race_while_moving),
		TEST(test_race_while_reading),
	};

	return need_status(cmocka_run_group_tests(tests, NULL, NULL));
}
