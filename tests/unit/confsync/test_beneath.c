/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Paths from the root on: no link is ever followed, and folders are made whole or not at all. */
#include "beneath.h"

#include "check.h"
#include "child.h"
#include "need.h"
#include "path.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include <cmocka.h>

static struct temp temp;
static char root[PATH_MAX], path[PATH_MAX + 64];

static int set_up(void **state)
{
	(void)state;
	temp_init(&temp);
	return !realpath(temp.folder, root);
}

static int tear_down(void **state)
{
	(void)state;
	temp_done(&temp);
	return 0;
}

static const char *at(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", root, name);
	return path;
}

static bool is_there(const char *name)
{
	struct stat st;

	return lstat(at(name), &st) == 0;
}

static void test_open(void **state)
{
	char text[8] = "";
	CLEANUP_FD int fd = -1;

	(void)state;
	temp_file(&temp, "f", "abc");
	fd = beneath_open(at("f"), O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, text, sizeof(text)), 3);
	assert_string_equal(text, "abc");
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(beneath_open(at("none"), O_RDONLY), -ENOENT);
	assert_int_equal(beneath_open(at("f/g"), O_RDONLY), -ENOTDIR);
}

static void test_create(void **state)
{
	int fd = beneath_open(at("new"), O_WRONLY | O_CREAT | O_EXCL);
	struct stat st;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(beneath_stat(at("new"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(beneath_open(at("new"), O_WRONLY | O_CREAT | O_EXCL), -EEXIST);
}

static void test_root(void **state)
{
	int fd = beneath_open("/", O_RDONLY | O_DIRECTORY);
	const char *name;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	fd = beneath_parent("/etc", &name);
	assert_true(fd >= 0);
	assert_string_equal(name, "etc");
	close(fd);
	assert_int_equal(beneath_parent("/", &name), -EINVAL);
}

static void test_unclean(void **state)
{
	static const char *const paths[] = {"", "etc", "../etc", "/..", "/etc/../etc", "/etc/",
		"//etc", "/./etc", "/etc//passwd"};
	char longer[PATH_BYTES_MAX + 64];
	struct stat st;
	unsigned made;
	const char *name;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		assert_int_equal(beneath_open(paths[i], O_RDONLY), -EINVAL);
		assert_int_equal(beneath_stat(paths[i], &st), -EINVAL);
		assert_int_equal(beneath_parent(paths[i], &name), -EINVAL);
		assert_int_equal(beneath_make_parents(paths[i], &made), -EINVAL);
	}
	for (size_t i = 0; i < sizeof(longer); i++)
		longer[i] = i % 100 ? 'x' : '/';
	longer[sizeof(longer) - 1] = 0;
	assert_int_equal(beneath_make_parents(longer, &made), -EINVAL);
}

/* A link at each place of the path. */
static void test_links(void **state)
{
	struct stat st;
	const char *name;
	unsigned made;

	(void)state;
	assert_int_equal(symlink("/etc", at("link")), 0);
	assert_int_equal(symlink(".", at("here")), 0);
	assert_int_equal(beneath_open(at("link"), O_RDONLY), -ELOOP);
	assert_int_equal(beneath_open(at("link"), O_RDONLY | O_DIRECTORY), -ELOOP);
	assert_int_equal(beneath_open(at("link/passwd"), O_RDONLY), -ELOOP);
	assert_int_equal(beneath_open(at("here/here/x"), O_RDONLY), -ELOOP);
	assert_int_equal(beneath_parent(at("link/passwd"), &name), -ELOOP);
	assert_int_equal(beneath_stat(at("link/passwd"), &st), -ELOOP);
	assert_int_equal(beneath_make_parents(at("link/new/f"), &made), -ELOOP);
	assert_int_equal(beneath_make_parents(at("link/f"), &made), -ELOOP);
	assert_int_equal(beneath_stat(at("link"), &st), 0);
	assert_true(S_ISLNK(st.st_mode));
}

static void test_magic_links(void **state)
{
	(void)state;
	assert_int_equal(beneath_open("/proc/self/root/etc/passwd", O_RDONLY), -ELOOP);
	snprintf(path, sizeof(path), "/proc/%d/cwd", (int)getpid());
	assert_int_equal(beneath_open(path, O_RDONLY | O_DIRECTORY), -ELOOP);
	snprintf(path, sizeof(path), "/proc/%d/fd/0", (int)getpid());
	assert_int_equal(beneath_open(path, O_RDONLY), -ELOOP);
}

static void test_fifo(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(mkfifo(at("fifo"), 0600), 0);
	fd = beneath_open(path, O_RDONLY);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(beneath_open(path, O_WRONLY), -ENXIO);
}

static void test_make(void **state)
{
	unsigned made = 99;

	(void)state;
	assert_int_equal(beneath_make_parents(at("a/b/c/f"), &made), 0);
	assert_int_equal(made, 3);
	assert_true(is_there("a/b/c"));
	assert_false(is_there("a/b/c/f"));
	assert_int_equal(beneath_make_parents(at("a/b/d/f"), &made), 0);
	assert_int_equal(made, 1);
	assert_int_equal(beneath_make_parents(at("a/b/d/f"), &made), 0);
	assert_int_equal(made, 0);
	assert_int_equal(beneath_make_parents("/f", &made), 0);
	assert_int_equal(made, 0);
}

static void test_make_refused(void **state)
{
	unsigned made = 99;

	(void)state;
	temp_file(&temp, "file", "");
	assert_int_equal(beneath_make_parents(at("file/x/f"), &made), -ENOTDIR);
	assert_int_equal(symlink("/etc", at("link")), 0);
	assert_int_equal(beneath_make_parents(at("link/x/f"), &made), -ELOOP);
	assert_int_equal(made, 99);
}

/* What cannot be made as a whole is taken back: a disk with room for some folders only. */
static void full_disk(void)
{
	unsigned made = 99;

	if (unshare(CLONE_NEWNS) < 0)
		_exit(CHILD_SKIPPED);
	CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	CHECK(mount("none", root, "tmpfs", 0, "nr_inodes=4") == 0);
	CHECK(beneath_make_parents(at("a/b/c/d/e/f"), &made) == -ENOSPC && made == 99);
	CHECK(!is_there("a"));
	CHECK(beneath_make_parents(at("a/b/f"), &made) == 0 && made == 2);
	CHECK(beneath_make_parents(at("a/b/c/d/e/f"), &made) == -ENOSPC);
	CHECK(is_there("a/b") && !is_there("a/b/c"));
}

static void test_make_full(void **state)
{
	int status;

	(void)state;
	status = child_run(full_disk);
	need(status != CHILD_SKIPPED, "a mount namespace");
	assert_int_equal(status, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_open),
		T(test_create),
		T(test_root),
		T(test_unclean),
		T(test_links),
		T(test_magic_links),
		T(test_fifo),
		T(test_make),
		T(test_make_refused),
		T(test_make_full),
	};

	return need_status(cmocka_run_group_tests(tests, NULL, NULL));
}
