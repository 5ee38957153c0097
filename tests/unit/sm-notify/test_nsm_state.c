/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The state number: cases 1 to 11 of the reference page, and what the kernel is told (12, 13). */
#include "nsm_state.h"

#include "draft.h"
#include "kernel.h"
#include "need.h"
#include "statedir.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { STRANGER = 12345 };

static struct statedir dir;
static int folder;

static int set_up(void **state)
{
	(void)state;
	statedir_init(&dir);
	folder = open(dir.temp.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return folder < 0;
}

static int tear_down(void **state)
{
	(void)state;
	close(folder);
	statedir_done(&dir);
	return 0;
}

static void test_next(void **state)
{
	static const int32_t pairs[][2] = {{0, 3}, {1, 3}, {2, 5}, {4, 7}, {5, 7}, {6, 9},
		{0x7ffffffc, 0x7fffffff}, {0x7ffffffd, 0x7fffffff}, {0x7ffffffe, 1},
		{0x7fffffff, 1}, {INT32_MIN, INT32_MIN + 3}, {INT32_MIN + 1, INT32_MIN + 3},
		{-3, -1}, {-2, 1}, {-1, 1}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		assert_int_equal(nsm_state_next(pairs[i][0]), pairs[i][1]);
	for (int64_t s = INT32_MIN; s <= INT32_MAX; s += 9973) {
		int32_t next = nsm_state_next((int32_t)s);

		assert_int_equal(next & 1, 1);
		assert_true(next > s || next == 1);
	}
}

static int32_t take(bool update)
{
	struct err err = {0};
	int32_t n = -99;

	if (nsm_state_take(folder, update, &n, &err) < 0)
		fail_msg("%s", err.text);
	return n;
}

static void put(const void *bytes, size_t len)
{
	statedir_put_bytes(&dir, "state", bytes, len);
	statedir_forget_log(&dir);
}

static void check_file(int32_t want)
{
	struct stat st;
	int32_t got = 0;

	assert_int_equal(stat(statedir_path(&dir, "state"), &st), 0);
	assert_int_equal(st.st_size, 4);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(nsm_state_read(folder, &got, NULL), 1);
	assert_int_equal(got, want);
	assert_string_equal(statedir_names(&dir, "."), "sm sm.bak state");
}

static void check_taken(const void *bytes, size_t len, int32_t want, unsigned warnings)
{
	put(bytes, len);
	assert_int_equal(take(true), want);
	check_file(want);
	assert_int_equal(dir.lines, warnings);
}

static void test_no_file(void **state)
{
	(void)state;
	assert_int_equal(take(true), 3);
	check_file(3);
	assert_int_equal(take(true), 5);
	check_file(5);
	assert_int_equal(dir.lines, 0);
}

static void test_files(void **state)
{
	(void)state;
	check_taken("", 0, 3, 0); /* as Debian ships it */
	check_taken("\x05", 1, 3, 1);
	check_taken("\x05\0\0", 3, 3, 1);
	check_taken("\x05\0\0\0", 4, 7, 0);
	check_taken("\x04\0\0\0", 4, 7, 0);
	check_taken("\0\0\0\0", 4, 3, 0);
	check_taken("\x05\0\0\0\x99\0\0\0", 8, 7, 0);
	check_taken("\xff\xff\xff\x7f", 4, 1, 1);
	check_taken("\x01\0\0\x80", 4, INT32_MIN + 3, 0);
}

static void test_no_update(void **state)
{
	(void)state;
	put("\x05\0\0\0", 4);
	statedir_age(&dir, "state", 1000);
	assert_int_equal(take(false), 5);
	assert_string_equal(statedir_text(&dir, "state"), "\x05");
	put("\x04\0\0\0", 4);
	assert_int_equal(take(false), 5);
	unlink(statedir_path(&dir, "state"));
	assert_int_equal(take(false), 3); /* and is there for the next, which must tell another */
	check_file(3);
	assert_int_equal(take(false), 3);
}

static void test_owner_is_kept(void **state)
{
	struct stat st;

	(void)state;
	need_root();
	put("\x05\0\0\0", 4);
	assert_int_equal(chown(statedir_path(&dir, "state"), STRANGER, STRANGER + 1), 0);
	take(true);
	assert_int_equal(stat(statedir_path(&dir, "state"), &st), 0);
	assert_int_equal(st.st_uid, STRANGER);
	assert_int_equal(st.st_gid, STRANGER + 1);
	check_file(7);
}

static void check_refused(int code)
{
	struct err err = {0};
	int32_t n = 77;

	assert_int_equal(nsm_state_take(folder, true, &n, &err), -code);
	assert_non_null(strstr(err.text, "state"));
	assert_int_equal(n, 77);
}

static void test_hostile_files(void **state)
{
	(void)state;
	statedir_put(&dir, "other", "\x05");
	assert_int_equal(symlink("other", statedir_path(&dir, "state")), 0);
	check_refused(ELOOP);
	unlink(dir.path);
	assert_int_equal(mkfifo(statedir_path(&dir, "state"), 0600), 0);
	check_refused(EINVAL);
	unlink(statedir_path(&dir, "state"));
	assert_int_equal(mkdir(statedir_path(&dir, "state"), 0700), 0);
	check_refused(EINVAL);
}

/* A link under the temporary name is replaced, never followed. */
static void test_hostile_temporary_file(void **state)
{
	(void)state;
	statedir_put(&dir, "other", "precious");
	assert_int_equal(symlink("other", statedir_path(&dir, ".state.new")), 0);
	assert_int_equal(take(true), 3);
	assert_string_equal(statedir_text(&dir, "other"), "precious");
	unlink(statedir_path(&dir, "other"));
	check_file(3);
}

static void test_folder_not_writable(void **state)
{
	struct err err = {0};
	int32_t n = 77;
	bool root = geteuid() == 0;

	(void)state;
	put("\x05\0\0\0", 4);
	assert_int_equal(chmod(dir.temp.folder, 0555), 0);
	if (root)
		assert_int_equal(seteuid(STRANGER), 0);
	assert_int_equal(nsm_state_take(folder, true, &n, &err), -EACCES);
	if (root)
		assert_int_equal(seteuid(0), 0);
	chmod(dir.temp.folder, 0700);
	assert_int_equal(n, 77);
	assert_string_equal(statedir_text(&dir, "state"), "\x05");
}

static void test_kernel(void **state)
{
	struct err err = {0};
	char id[KERNEL_BOOT_ROOM];

	(void)state;
	assert_int_equal(kernel_tell_state(dir.temp.folder, 7, &err), 0); /* no lockd */
	assert_int_equal(kernel_lift_grace(dir.temp.folder, &err), 0);
	assert_int_equal(mkdir(statedir_path(&dir, "sys"), 0700), 0);
	assert_int_equal(mkdir(statedir_path(&dir, "sys/fs"), 0700), 0);
	assert_int_equal(mkdir(statedir_path(&dir, "sys/fs/nfs"), 0700), 0);
	assert_int_equal(mkdir(statedir_path(&dir, "fs"), 0700), 0);
	assert_int_equal(mkdir(statedir_path(&dir, "fs/lockd"), 0700), 0);
	statedir_put(&dir, "sys/fs/nfs/nsm_local_state", "12345\n");
	statedir_put(&dir, "fs/lockd/nlm_end_grace", "");
	assert_int_equal(kernel_tell_state(dir.temp.folder, 7, &err), 0);
	assert_string_equal(statedir_text(&dir, "sys/fs/nfs/nsm_local_state"), "7");
	assert_int_equal(kernel_tell_state(dir.temp.folder, -5, &err), 0);
	assert_string_equal(statedir_text(&dir, "sys/fs/nfs/nsm_local_state"), "-5");
	assert_int_equal(kernel_lift_grace(dir.temp.folder, &err), 0);
	assert_string_equal(statedir_text(&dir, "fs/lockd/nlm_end_grace"), "Y");
	kernel_boot_id("/proc", id);
	assert_int_equal(strlen(id), 36);
	kernel_boot_id(dir.temp.folder, id);
	assert_int_equal(strlen(id), 36);
	unlink(statedir_path(&dir, "fs/lockd/nlm_end_grace"));
	assert_int_equal(mkdir(statedir_path(&dir, "fs/lockd/nlm_end_grace"), 0700), 0);
	assert_int_equal(kernel_lift_grace(dir.temp.folder, &err), -EISDIR);
	assert_non_null(strstr(err.text, "nlm_end_grace"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next),
		cmocka_unit_test_setup_teardown(test_no_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_update, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_owner_is_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hostile_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hostile_temporary_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_folder_not_writable, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_kernel, set_up, tear_down),
	};

	return need_status(cmocka_run_group_tests(tests, NULL, NULL));
}
