/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading the list: what is in it, in which order, and everything hostile that a folder may hold
 * (cases 17 and 19 to 26 of the reference page).
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <cmocka.h>

enum { STRANGER = 12345 };

#define LINE  STATEDIR_LINE
#define GOOD  LINE("10.9.0.2", "nfssrv.lab.test") "\n"
#define ASIDE "sm.bak/" MONLIST_ASIDE

static struct statedir dir;
static struct monlist list;

static int set_up(void **state)
{
	struct err err = {0};

	(void)state;
	statedir_init(&dir);
	monlist_init(&list);
	return monlist_open(&list, dir.temp.folder, &err);
}

static int tear_down(void **state)
{
	(void)state;
	monlist_close(&list);
	statedir_done(&dir);
	return 0;
}

static void load_with(int (*fn)(struct monlist *, struct err *))
{
	struct err err = {0};

	monlist_close(&list);
	monlist_init(&list);
	assert_int_equal(monlist_open(&list, dir.temp.folder, &err), 0);
	statedir_forget_log(&dir);
	if (fn(&list, &err) < 0)
		fail_msg("%s", err.text);
}

/* "name: mon my, mon my; name: ..." */
static const char *shown(void)
{
	static char text[8192];
	size_t used = 0;

	*text = 0;
	for (uint32_t i = 0; i < list.peer_count; i++) {
		const struct monlist_peer *p = &list.peers[i];

		assert_int_equal(p->left, p->count);
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s:", i ? "; " : "",
			monlist_peer_name(&list, p));
		for (uint32_t k = 0; k < p->count; k++) {
			const struct monlist_record *r = monlist_record_at(&list, p, k);

			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s %s %s",
				k ? "," : "", monlist_record_mon(&list, r),
				monlist_record_my(&list, r));
		}
	}
	return text;
}

static void check_loaded(const char *want, bool complete)
{
	load_with(monlist_load);
	assert_string_equal(shown(), want);
	assert_int_equal(list.complete, complete);
}

static void test_nothing(void **state)
{
	(void)state;
	check_loaded("", true);
	statedir_put(&dir, "sm.bak/.hidden", GOOD);
	check_loaded("", true);
	assert_true(statedir_has(&dir, "sm.bak/.hidden"));
	assert_int_equal(dir.lines, 0);
}

static void test_newest_first(void **state)
{
	(void)state;
	statedir_put(&dir, "sm.bak/b", LINE("1.1.1.1", "me") "\n");
	statedir_put(&dir, "sm.bak/a", LINE("2.2.2.2", "me") "\n");
	statedir_put(&dir, "sm.bak/c", LINE("3.3.3.3", "me") "\n");
	statedir_age(&dir, "sm.bak/b", 1000);
	statedir_age(&dir, "sm.bak/a", 3000);
	statedir_age(&dir, "sm.bak/c", 2000);
	check_loaded("a: 2.2.2.2 me; c: 3.3.3.3 me; b: 1.1.1.1 me", true);
}

static void test_lines_of_a_file(void **state)
{
	(void)state;
	statedir_put(&dir, "sm.bak/a", LINE("m", "x") "\n" LINE("m", "y") "\n" LINE("n", "x"));
	check_loaded("a: m x, m y, n x", true);
	/* identical ones, and such that differ in their cookie only */
	statedir_put(&dir, "sm.bak/a",
		LINE("m", "x") "\n" LINE("m", "x") "\r\n\n \n"
						   "0100007f 000186b5 00000004 00000010 "
						   "ffffffffffffffffffffffffffffffff m x\n");
	check_loaded("a: m x", true);
	assert_int_equal(dir.lines, 0);
	/* equal numbers are equal texts */
	statedir_put(&dir, "sm.bak/b", LINE("m", "x") "\n");
	load_with(monlist_load);
	assert_int_equal(list.records[0].my, list.records[1].my);
	assert_int_equal(list.records[0].mon, list.records[1].mon);
}

static void test_good_lines_beside_bad_ones(void **state)
{
	static const char content[] = "garbage\n" LINE("m", "x") "\n" LINE("", "x") "\n" LINE(
		"m", "") "\n" LINE("m", "y") "\r\n" LINE("m", "a\0b") "\n" LINE("m", "z");

	(void)state;
	statedir_put_bytes(&dir, "sm.bak/a", content, sizeof(content) - 1);
	check_loaded("a: m x, m y, m z", false);
	assert_int_equal(dir.lines, 1);
	assert_non_null(strstr(dir.log, "sm.bak/a: lines that are no records, left out: 4"));
	assert_string_equal(statedir_names(&dir, "sm.bak"), "a");
}

static void test_files_without_a_good_line(void **state)
{
	static const char *const contents[] = {"", "\n", "garbage\n",
		"0100007f 000186b5 00000003 00000010 " STATEDIR_COOKIE " ",
		LINE("10.9.0.2", "") "\n",
		"0100007f 000186b5 0000003 00000010 " STATEDIR_COOKIE " m x\n",
		"0100007f 000186b5 000000zz 00000010 " STATEDIR_COOKIE " m x\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(contents); i++) {
		char kept[64] = ASIDE "/a";

		if (i > 0)
			snprintf(kept, sizeof(kept), ASIDE "/a~%zu", i);
		statedir_put(&dir, "sm.bak/a", contents[i]);
		statedir_put(&dir, "sm.bak/b", GOOD);
		check_loaded("b: 10.9.0.2 nfssrv.lab.test", false);
		assert_int_equal(dir.lines, 1);
		assert_false(statedir_has(&dir, "sm.bak/a"));
		assert_string_equal(statedir_text(&dir, kept), contents[i]);
		check_loaded("b: 10.9.0.2 nfssrv.lab.test", true); /* reported once */
		assert_int_equal(dir.lines, 0);
	}
}

static void put_large(const char *name, size_t len, const char *tail)
{
	char *bytes = malloc(len + strlen(tail));

	assert_non_null(bytes);
	memset(bytes, 'x', len);
	memcpy(bytes + len, tail, strlen(tail));
	statedir_put_bytes(&dir, name, bytes, len + strlen(tail));
	free(bytes);
}

static void test_large_files(void **state)
{
	(void)state;
	put_large("sm.bak/a", 1 << 20, "");
	put_large("sm.bak/b", 1 << 20, "\n" GOOD);
	put_large("sm.bak/c", MONLIST_FILE_MAX, "\n" GOOD);
	check_loaded("b: 10.9.0.2 nfssrv.lab.test", false);
	assert_int_equal(dir.lines, 3);
	assert_true(statedir_has(&dir, ASIDE "/a"));
	assert_true(statedir_has(&dir, ASIDE "/c"));
}

static void test_ten_thousand_lines(void **state)
{
	enum { COUNT = 10000 };
	FILE *f = fopen(statedir_path(&dir, "sm.bak/a"), "we");

	(void)state;
	for (int i = 0; i < COUNT; i++)
		fprintf(f, LINE("m", "my%d.lab.test") "\n", i % (COUNT / 2));
	fclose(f);
	load_with(monlist_load);
	assert_int_equal(list.peer_count, 1);
	assert_int_equal(list.record_count, COUNT / 2);
	assert_true(list.complete);
}

static void check_aside(const char *name)
{
	char path[300], kept[300];

	snprintf(path, sizeof(path), "sm.bak/%s", name);
	snprintf(kept, sizeof(kept), ASIDE "/%s", name);
	statedir_put(&dir, path, GOOD);
	check_loaded("", false);
	assert_int_equal(dir.lines, 1);
	assert_false(statedir_has(&dir, path));
	assert_string_equal(statedir_text(&dir, kept), GOOD);
}

static void test_names_that_are_no_hosts(void **state)
{
	static const char *const names[] = {"a b", "a\nb", "-oX", "%s%n",
		"a\xff"
		"b",
		"a:b", "$(x)"};
	char name[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		check_aside(names[i]);
	memset(name, 'a', 255);
	name[255] = 0;
	check_aside(name);
	statedir_put(&dir, "sm.bak/..hidden", GOOD);
	check_loaded("", true);
}

static void test_only_so_many_lines_are_logged(void **state)
{
	char name[64];

	(void)state;
	for (int i = 0; i < 250; i++) {
		snprintf(name, sizeof(name), "sm.bak/a b%d", i);
		statedir_put(&dir, name, GOOD);
	}
	check_loaded("", false);
	assert_int_equal(dir.lines, 201);
	assert_string_equal(statedir_names(&dir, "sm.bak"), MONLIST_ASIDE);
}

static void make_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

/* A link to a good file, a pipe (whose opening would wait), a device, a socket, a folder. */
static void test_things_that_are_no_files(void **state)
{
	unsigned things = 4;

	(void)state;
	statedir_put(&dir, "good", GOOD);
	assert_int_equal(symlink("../good", statedir_path(&dir, "sm.bak/link")), 0);
	assert_int_equal(mkfifo(statedir_path(&dir, "sm.bak/pipe"), 0600), 0);
	assert_int_equal(mkdir(statedir_path(&dir, "sm.bak/folder"), 0700), 0);
	make_socket(statedir_path(&dir, "sm.bak/socket"));
	if (mknod(statedir_path(&dir, "sm.bak/device"), S_IFCHR | 0600, makedev(1, 3)) == 0)
		things++;
	statedir_put(&dir, "sm.bak/a", GOOD);
	check_loaded("a: 10.9.0.2 nfssrv.lab.test", false);
	assert_int_equal(dir.lines, things);
	assert_non_null(strstr(dir.log, "sm.bak/link: a symbolic link, left alone"));
	assert_non_null(strstr(dir.log, "sm.bak/pipe: a pipe, left alone"));
	assert_true(statedir_has(&dir, "sm.bak/link"));
	assert_true(statedir_has(&dir, "sm.bak/pipe"));
	assert_true(statedir_has(&dir, "sm.bak/folder"));
	assert_true(statedir_has(&dir, "sm.bak/socket"));
	assert_false(statedir_has(&dir, ASIDE));
}

static void test_leftovers(void **state)
{
	(void)state;
	statedir_put(&dir, "sm.bak/peer.new", GOOD);
	statedir_put(&dir, "sm.bak/.peer.new", GOOD);
	statedir_put(&dir, "sm.bak/a.test.new", GOOD);
	statedir_put(&dir, "sm.bak/b.test", GOOD);
	statedir_put(&dir, "sm.bak/b.test.new", GOOD);
	statedir_put(&dir, "sm.bak/10.9.0.2.new", GOOD);
	statedir_put(&dir, "sm/c.test", GOOD);
	statedir_put(&dir, "sm.bak/c.test.new", GOOD);
	statedir_age(&dir, "sm.bak/a.test.new", 1000);
	/* a.test.new may be a host of the domain .new */
	check_loaded(
		"b.test: 10.9.0.2 nfssrv.lab.test; a.test.new: 10.9.0.2 nfssrv.lab.test", true);
	assert_int_equal(dir.lines, 4);
	assert_string_equal(
		statedir_names(&dir, ASIDE), "10.9.0.2.new b.test.new c.test.new peer.new");
}

static void test_owners(void **state)
{
	(void)state;
	need_root();
	statedir_put(&dir, "sm.bak/a", GOOD);
	statedir_put(&dir, "sm.bak/b", GOOD);
	assert_int_equal(chown(statedir_path(&dir, "sm.bak/b"), STRANGER, 0), 0);
	check_loaded("a: 10.9.0.2 nfssrv.lab.test", false);
	assert_non_null(strstr(dir.log, "sm.bak/b: belongs to user 12345"));
	assert_true(statedir_has(&dir, "sm.bak/b"));
}

static int open_anew(struct err *err)
{
	int r;

	monlist_close(&list);
	monlist_init(&list);
	r = monlist_open(&list, dir.temp.folder, err);
	return r;
}

static void test_folders_that_are_none(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(rmdir(statedir_path(&dir, "sm.bak")), 0);
	assert_int_equal(open_anew(&err), -ENOENT);
	assert_non_null(strstr(err.text, "sm.bak"));
	assert_int_equal(symlink("sm", statedir_path(&dir, "sm.bak")), 0);
	assert_int_equal(open_anew(&err), -ENOTDIR);
	assert_non_null(strstr(err.text, "links are not followed"));
	unlink(dir.path);
	assert_int_equal(mkdir(statedir_path(&dir, "sm.bak"), 0700), 0);
	assert_int_equal(open_anew(&err), 0);
	assert_int_equal(rmdir(statedir_path(&dir, "sm")), 0);
	assert_int_equal(open_anew(&err), -ENOENT);
	statedir_put(&dir, "sm", "");
	assert_int_equal(open_anew(&err), -ENOTDIR);
	monlist_close(&list);
	monlist_init(&list);
	assert_int_equal(monlist_open(&list, statedir_path(&dir, "absent"), &err), -ENOENT);
	assert_non_null(strstr(err.text, "absent"));
}

static void test_folders_of_two_owners(void **state)
{
	struct err err = {0};

	(void)state;
	need_root();
	assert_int_equal(chown(statedir_path(&dir, "sm.bak"), STRANGER, STRANGER), 0);
	assert_int_equal(open_anew(&err), -EPERM);
	assert_non_null(strstr(err.text, "must be the same"));
}

/* Readable for root, but not for the owner, with whose rights it has to be read. */
static void test_folder_not_readable(void **state)
{
	struct err err = {0};

	(void)state;
	need_root();
	assert_int_equal(chmod(statedir_path(&dir, "sm.bak"), 0), 0);
	assert_int_equal(seteuid(STRANGER), 0);
	assert_int_equal(monlist_load(&list, &err), -EACCES);
	assert_int_equal(seteuid(0), 0);
	assert_non_null(strstr(err.text, "/sm.bak: Permission denied"));
	assert_false(list.complete);
}

static void test_in_place(void **state)
{
	(void)state;
	statedir_put(&dir, "sm/a", LINE("m", "p") "\n");
	statedir_put(&dir, "sm.bak/a", LINE("m", "q") "\n" LINE("m", "p") "\n");
	statedir_put(&dir, "sm.bak/.+a", LINE("m", "r") "\n");
	statedir_put(&dir, "sm.bak/.+b", LINE("m", "x") "\n");
	statedir_put(&dir, "sm/b", LINE("n", "x") "\n");
	statedir_put(&dir, "sm/c", LINE("m", "x") "\n");
	statedir_put(&dir, "sm/d e", LINE("m", "x") "\n");
	statedir_put(&dir, "sm.bak/f", "garbage");
	statedir_age(&dir, "sm/a", 100);
	statedir_age(&dir, "sm.bak/a", 3000);
	statedir_age(&dir, "sm.bak/.+a", 200);
	statedir_age(&dir, "sm/b", 2000);
	statedir_age(&dir, "sm.bak/.+b", 300);
	statedir_age(&dir, "sm/c", 1000);
	load_with(monlist_load_in_place);
	assert_string_equal(shown(), "a: m q, m p, m r; b: m x, n x; c: m x");
	assert_false(list.complete);
	assert_int_equal(dir.lines, 2);
	assert_string_equal(statedir_names(&dir, "sm"), "a b c d e");
	assert_string_equal(statedir_names(&dir, "sm.bak"), ".+a .+b a f");
}

static void test_in_place_and_complete(void **state)
{
	(void)state;
	load_with(monlist_load_in_place);
	assert_true(list.complete);
	statedir_put(&dir, "sm/a", GOOD);
	load_with(monlist_load_in_place);
	assert_true(list.complete);
	assert_int_equal(list.peer_count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing),
		TEST(test_newest_first),
		TEST(test_lines_of_a_file),
		TEST(test_good_lines_beside_bad_ones),
		TEST(test_files_without_a_good_line),
		TEST(test_large_files),
		TEST(test_ten_thousand_lines),
		TEST(test_names_that_are_no_hosts),
		TEST(test_only_so_many_lines_are_logged),
		TEST(test_things_that_are_no_files),
		TEST(test_leftovers),
		TEST(test_owners),
		TEST(test_folders_that_are_none),
		TEST(test_folders_of_two_owners),
		TEST(test_folder_not_readable),
		TEST(test_in_place),
		TEST(test_in_place_and_complete),
	};

	return need_status(cmocka_run_group_tests(tests, NULL, NULL));
}
