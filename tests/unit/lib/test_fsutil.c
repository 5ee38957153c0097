/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Replacing small files: content and mode, links stay links, folders are made, a failure keeps
 * the old content and leaves nothing behind; a reader never sees half a file.
 */
#include "check.h"
#include "fsutil.h"
#include "temp.h"
#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { READ_MAX = 1024 * 1024 };

static void check_content(const char *path, const char *want, mode_t mode)
{
	CLEANUP_FREE char *text = NULL;
	struct stat st;
	size_t len;

	assert_int_equal(fs_read(path, READ_MAX, &text, &len, NULL), 0);
	assert_int_equal(len, strlen(want));
	assert_string_equal(text, want);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}

static unsigned count_entries(const char *folder)
{
	DIR *dir = opendir(folder);
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

static int set_up(void **state)
{
	static struct temp temp;

	umask(022);
	temp_init(&temp);
	*state = &temp;
	return 0;
}

static int tear_down(void **state)
{
	temp_done(*state);
	return 0;
}

static void test_content_and_mode(void **state)
{
	struct temp *t = *state;
	const char *path = temp_path(t, "file");
	mode_t old = umask(077);

	assert_int_equal(fs_replace(path, "one", 3, 0644, NULL), 0);
	check_content(path, "one", 0644);
	assert_int_equal(fs_replace(path, "second", 6, 0600, NULL), 0);
	check_content(path, "second", 0600);
	assert_int_equal(fs_replace(path, NULL, 0, 0640, NULL), 0);
	check_content(path, "", 0640);
	assert_int_equal(count_entries(t->folder), 1);
	umask(old);
}

/* A new file takes the place of the old: who has the old one open keeps it. */
static void test_replaces_not_overwrites(void **state)
{
	struct temp *t = *state;
	char bytes[8] = "";
	int fd = open(temp_file(t, "file", "old"), O_RDONLY | O_CLOEXEC);

	assert_int_equal(fs_replace(t->path, "new", 3, 0600, NULL), 0);
	assert_int_equal(read(fd, bytes, sizeof(bytes)), 3);
	assert_string_equal(bytes, "old");
	close(fd);
}

static void test_symbolic_link(void **state)
{
	struct temp *t = *state;
	struct temp real;
	struct stat st;

	temp_init(&real);
	assert_int_equal(symlink(temp_file(&real, "real", "old"), temp_path(t, "link")), 0);
	assert_int_equal(fs_replace(t->path, "new", 3, 0600, NULL), 0);
	assert_int_equal(lstat(t->path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	check_content(temp_path(&real, "real"), "new", 0600);
	assert_int_equal(count_entries(real.folder), 1);
	temp_done(&real);
}

static void test_missing_folder(void **state)
{
	struct temp *t = *state;
	struct err err = {0};
	struct stat st;

	assert_int_equal(fs_replace(temp_path(t, "new/file"), "x", 1, 0600, NULL), 0);
	check_content(t->path, "x", 0600);
	assert_int_equal(stat(temp_path(t, "new"), &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(fs_replace(temp_path(t, "a/b/file"), "x", 1, 0600, &err), -ENOENT);
	assert_non_null(strstr(err.text, "a/b"));
	assert_int_equal(fs_make_folder_of(temp_path(t, "new/other"), 0700, &err), 0);
	assert_int_equal(fs_make_folder_of(temp_path(t, "fresh/x"), 0700, &err), 0);
	assert_int_equal(stat(temp_path(t, "fresh"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

/* The name of the temporary file is taken by a folder: fails for root too. */
static void test_failure_keeps_the_old(void **state)
{
	struct temp *t = *state;
	struct err err = {0};
	char path[PATH_MAX];

	strcpy(path, temp_file(t, "file", "old"));
	assert_int_equal(chmod(path, 0604), 0);
	assert_int_equal(mkdir(temp_path(t, "file.new"), 0755), 0);
	assert_int_equal(fs_replace(path, "new", 3, 0600, &err), -EISDIR);
	assert_int_equal(err.code, EISDIR);
	assert_non_null(strstr(err.text, path));
	assert_non_null(strstr(err.text, "the old content is kept"));
	check_content(path, "old", 0604);
}

/* The target is a folder: the rename fails, and nothing is left behind. */
static void test_failure_leaves_nothing(void **state)
{
	struct temp *t = *state;

	assert_int_equal(mkdir(temp_path(t, "folder"), 0755), 0);
	assert_true(fs_replace(t->path, "new", 3, 0600, NULL) < 0);
	assert_int_equal(count_entries(t->folder), 1);
	assert_int_equal(count_entries(t->path), 0);
}

/* A link planted in the way must not be written through. */
static void test_temporary_file_is_no_link(void **state)
{
	struct temp *t = *state;
	struct temp victim;

	temp_init(&victim);
	assert_int_equal(
		symlink(temp_file(&victim, "victim", "safe"), temp_path(t, "file.new")), 0);
	assert_int_equal(fs_replace(temp_path(t, "file"), "new", 3, 0600, NULL), -ELOOP);
	check_content(victim.path, "safe", 0644);
	temp_done(&victim);
}

static void *replace_often(void *path)
{
	char bytes[5000];

	for (int i = 0; i < 200; i++) {
		memset(bytes, 'a' + i % 26, sizeof(bytes));
		CHECK(fs_replace(path, bytes, i % 2 ? sizeof(bytes) : 10, 0600, NULL) == 0);
	}
	return NULL;
}

static void check_whole(const char *path)
{
	CLEANUP_FREE char *text = NULL;
	size_t len;

	assert_int_equal(fs_read(path, READ_MAX, &text, &len, NULL), 0);
	assert_true(len == 10 || len == 5000);
	for (size_t i = 1; i < len; i++)
		assert_int_equal(text[i], text[0]);
}

static void test_readers_see_whole_files(void **state)
{
	struct temp *t = *state;
	char path[PATH_MAX];
	pthread_t thread;

	strcpy(path, temp_file(t, "file", "aaaaaaaaaa"));
	assert_int_equal(pthread_create(&thread, NULL, replace_often, path), 0);
	for (int i = 0; i < 500; i++)
		check_whole(path);
	pthread_join(thread, NULL);
}

static void test_read_limits(void **state)
{
	struct temp *t = *state;
	struct err err = {0};
	size_t len = 77;
	char *text = NULL;

	assert_int_equal(fs_read(temp_file(t, "file", "12345"), 5, &text, &len, &err), 0);
	assert_int_equal(len, 5);
	assert_string_equal(text, "12345");
	free(text);
	text = NULL;
	assert_int_equal(fs_read(t->path, 4, &text, &len, &err), -EFBIG);
	assert_non_null(strstr(err.text, "larger than 4 bytes"));
	assert_int_equal(fs_read(temp_path(t, "no"), 4, &text, &len, &err), -ENOENT);
	assert_int_equal(fs_read(t->folder, 4, &text, &len, &err), -EINVAL);
	assert_int_equal(mkfifo(temp_path(t, "fifo"), 0600), 0);
	assert_int_equal(fs_read(t->path, 4, &text, &len, &err), -EINVAL);
	assert_non_null(strstr(err.text, "not a regular file"));
	/* files without a size of their own are bounded too */
	assert_int_equal(fs_read("/proc/self/status", 10, &text, &len, &err), -EFBIG);
	assert_null(text);
	assert_int_equal(len, 5);
}

static void test_absolute(void **state)
{
	static const struct {
		const char *path, *want;
		bool below; /* WANT is below the working directory */
	} rows[] = {{"/a/b", "/a/b", false}, {"/a/../b", "/a/../b", false}, {"a", "/a", true},
		{"./a", "/a", true}, {"././a/b", "/a/b", true}, {".//a", "/a", true},
		{"../a", "/../a", true}, {".a", "/.a", true}, {"./", "/", true}};
	CLEANUP_FREE char *cwd = getcwd(NULL, 0);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP_FREE char *got = fs_absolute(rows[i].path);
		char want[PATH_MAX];

		snprintf(want, sizeof(want), "%s%s", rows[i].below ? cwd : "", rows[i].want);
		assert_non_null(got);
		assert_string_equal(got, want);
	}
	assert_null(fs_absolute(""));
}

static void test_real(void **state)
{
	static const char *const rows[][2] = {{"", ""}, {"/", ""}, {"/d/file", "/d/file"},
		{"/link", "/d"}, {"/link/file", "/d/file"}, {"/d/.././link//file/", "/d/file"},
		{"/link/no", "/d/no"}, {"/link/no/./way//", "/d/no/way"}, {"/link/no/../x", "/d/x"},
		{"/link/no/../../x", "/x"}, {"/dangling/x", "/dangling/x"}, {"/loop/x", "/loop/x"},
		{"/link/file/x", "/d/file/x"}};
	struct temp *t = *state;
	CLEANUP_FREE char *base = realpath(t->folder, NULL);

	assert_non_null(base);
	assert_int_equal(mkdir(temp_path(t, "d"), 0755), 0);
	temp_file(t, "d/file", "");
	assert_int_equal(symlink("d", temp_path(t, "link")), 0);
	assert_int_equal(symlink("none", temp_path(t, "dangling")), 0);
	assert_int_equal(symlink("loop", temp_path(t, "loop")), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char path[PATH_MAX], want[PATH_MAX];
		CLEANUP_FREE char *got = NULL;

		snprintf(path, sizeof(path), "%s%s", t->folder, rows[i][0]);
		snprintf(want, sizeof(want), "%s%s", base, rows[i][1]);
		got = fs_real(path);
		assert_non_null(got);
		assert_string_equal(got, want);
	}
	assert_null(fs_real(""));
	free(base);
	base = fs_real("/none/../..");
	assert_string_equal(base, "/");
}

static void test_all_and_at(void **state)
{
	char got[8] = "";
	int pipes[2];
	FILE *f = tmpfile();

	(void)state;
	assert_int_equal(fs_write_all(fileno(f), "0123456789", 10), 0);
	assert_int_equal(fs_write_all(fileno(f), "", 0), 0);
	assert_int_equal(fs_read_at(fileno(f), got, 4, 3), 4);
	assert_memory_equal(got, "3456", 4);
	assert_int_equal(fs_read_at(fileno(f), got, sizeof(got), 8), 2); /* to the end */
	assert_memory_equal(got, "89", 2);
	assert_int_equal(fs_read_at(fileno(f), got, sizeof(got), 10), 0);
	fclose(f);
	CHECK(pipe(pipes) == 0);
	assert_int_equal(fs_read_at(pipes[0], got, 1, 0), -ESPIPE);
	assert_int_equal(fs_write_all(pipes[0], "x", 1), -EBADF);
	close(pipes[0]);
	close(pipes[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_content_and_mode, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_replaces_not_overwrites, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_symbolic_link, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_missing_folder, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failure_keeps_the_old, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failure_leaves_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_temporary_file_is_no_link, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_readers_see_whole_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_read_limits, set_up, tear_down),
		cmocka_unit_test(test_absolute),
		cmocka_unit_test_setup_teardown(test_real, set_up, tear_down),
		cmocka_unit_test(test_all_and_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
