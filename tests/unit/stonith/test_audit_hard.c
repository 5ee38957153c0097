/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The audit log when things are going badly: no room, no memory, killed at any moment, a lock that
 * is not given back. The file is as it was, or the line is there.
 */
#include "audit.h"

#include "fsutil.h"
#include "need.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static struct temp temp;
static char path[TEMP_PATH_MAX], head_path[TEMP_PATH_MAX];
static struct audit *audit;
static json_t *entry;

static int set_up(void **state)
{
	(void)state;
	temp_init(&temp);
	snprintf(path, sizeof(path), "%s", temp_path(&temp, "log"));
	snprintf(head_path, sizeof(head_path), "%s", temp_path(&temp, "log.head"));
	audit = audit_new(path);
	entry = json_pack(
		"{s:s, s:{s:[i, i]}, s:b}", "victim", "n1", "outlets", "left", 1, 2, "verified", 1);
	return !audit || !entry;
}

static int tear_down(void **state)
{
	(void)state;
	json_decref(entry);
	audit_free(audit);
	temp_done(&temp);
	return 0;
}

static int append(struct err *err)
{
	*err = (struct err){0};
	return audit_append(audit, entry, NULL, err);
}

static off_t size_of(const char *file)
{
	struct stat st;

	return stat(file, &st) == 0 ? st.st_size : -1;
}

static void check_good(struct audit_check *ret)
{
	struct err err;

	assert_int_equal(audit_verify(path, NULL, NULL, true, ret, &err), 0);
	assert_string_equal(ret->why, "");
}

/* No room for a whole line, for each number of bytes that there is room for. */
static void test_no_room(void **state)
{
	struct rlimit was, limit;
	struct audit_check check;
	off_t size, line;
	struct err err;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(append(&err), 0);
	size = size_of(path);
	assert_int_equal(append(&err), 0);
	line = size_of(path) - size;
	size += line;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	for (off_t room = 0; room < line; room += 10) {
		limit = (struct rlimit){(rlim_t)(size + room), was.rlim_max};
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		assert_int_equal(append(&err), -EFBIG);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
		assert_non_null(strstr(err.text, "/log: File too large"));
		assert_int_equal(size_of(path), size);
		check_good(&check);
		assert_int_equal(check.lines, 2);
	}
	assert_int_equal(append(&err), 0);
	check_good(&check);
	assert_int_equal(check.lines, 3);
}

/* A file system of our own, of SIZE bytes, for this process alone. */
static bool small_disk(const char *size)
{
	char options[64];

	snprintf(options, sizeof(options), "size=%s", size);
	return unshare(CLONE_NEWNS) == 0 &&
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		mount("none", temp.folder, "tmpfs", 0, options) == 0;
}

static void fill_disk(void)
{
	int fd = open(temp_path(&temp, "filler"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	char page[4096] = "";

	while (write(fd, page, sizeof(page)) > 0)
		;
	close(fd);
}

/* On a full disk some lines still find the room that was kept for them; then it is said. */
static int use_full_disk(void)
{
	enum { LINES_MAX = 10000 };
	struct audit_check check;
	struct err err;
	int lines = 1;
	off_t size;

	if (!small_disk("1m"))
		return 77;
	if (append(&err) < 0)
		return 1;
	fill_disk();
	while (append(&err) == 0 && lines < LINES_MAX)
		lines++;
	size = size_of(path);
	if (lines < 20 || err.code != ENOSPC || !strstr(err.text, "/log: No space left on device"))
		return 2;
	if (append(&err) != -ENOSPC || size_of(path) != size)
		return 3;
	if (unlink(temp_path(&temp, "filler")) < 0 || append(&err) < 0)
		return 4;
	if (audit_verify(path, NULL, NULL, true, &check, &err) < 0 || *check.why)
		return 5;
	return check.lines == (uint64_t)lines + 1 && !check.torn ? 0 : 6;
}

static void test_full_disk(void **state)
{
	int status;

	(void)state;
	if (fork() == 0)
		_exit(use_full_disk());
	assert_true(wait(&status) > 0 && WIFEXITED(status));
	need(WEXITSTATUS(status) != 77, "a mount namespace");
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Nor for a file at all, nor a folder. */
static void test_no_folder(void **state)
{
	struct audit *a = audit_new("/proc/no/such/log");
	struct err err;

	(void)state;
	assert_non_null(a);
	assert_int_equal(audit_append(a, entry, NULL, &err), -ENOENT);
	assert_string_equal(err.text, "audit log /proc/no/such/log: No such file or directory");
	audit_free(a);
}

/* Not a byte of memory is to be had. */
static void exhaust(void)
{
	struct rlimit limit = {0, 0};

	setrlimit(RLIMIT_AS, &limit);
	setrlimit(RLIMIT_DATA, &limit);
	for (size_t size = 1 << 20; size >= 16; size /= 2) {
		while (malloc(size))
			;
	}
}

static void test_no_memory(void **state)
{
	struct audit_check check;
	struct err err;
	int status;

	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* they need memory themselves */
#endif
	assert_int_equal(append(&err), 0);
	if (fork() == 0) {
		exhaust();
		for (int i = 0; i < 3; i++) {
			if (malloc(64) || append(&err) < 0)
				_exit(i + 1);
		}
		_exit(0);
	}
	assert_true(wait(&status) > 0);
	assert_int_equal(status, 0);
	check_good(&check);
	assert_int_equal(check.lines, 4);
}

/* Another process keeps the lock. */
static void test_lock_kept(void **state)
{
	struct audit_check check;
	struct err err;
	int fd;

	(void)state;
	assert_int_equal(append(&err), 0);
	fd = open(head_path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0 && flock(fd, LOCK_EX) == 0);
	assert_int_equal(append(&err), -EBUSY);
	assert_non_null(strstr(err.text, "another process has its lock"));
	close(fd);
	assert_int_equal(append(&err), 0);
	check_good(&check);
	assert_int_equal(check.lines, 2);
}

/* A head that cannot be is none, and no reason not to write. */
static void test_head_is_folder(void **state)
{
	struct audit_check check;
	struct err err;

	(void)state;
	assert_int_equal(mkdir(head_path, 0700), 0);
	assert_int_equal(append(&err), 0);
	assert_int_equal(append(&err), 0);
	check_good(&check);
	assert_int_equal(check.lines, 2);
}

/* Killed while it writes, again and again: what was told to be written is there. */
static void test_killed(void **state)
{
	enum { ROUNDS = 20 };
	uint64_t *told = mmap(
		NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct audit_check check;
	struct audit_head head;
	struct err err;

	(void)state;
	assert_true(told != MAP_FAILED);
	*told = 0;
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t before = *told;
		pid_t pid = fork();

		assert_true(pid >= 0);
		while (pid == 0 && audit_append(audit, entry, &head, &err) == 0)
			__atomic_store_n(told, head.seq, __ATOMIC_SEQ_CST);
		if (pid == 0)
			_exit(1);
		while (__atomic_load_n(told, __ATOMIC_SEQ_CST) == before)
			usleep(200);
		usleep((useconds_t)round * 97);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		check_good(&check);
		assert_true(check.last.seq >= *told && check.last.seq <= *told + 1);
		*told = check.last.seq;
	}
	munmap(told, sizeof(*told));
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_no_room),
		T(test_full_disk),
		T(test_no_folder),
		T(test_no_memory),
		T(test_lock_kept),
		T(test_head_is_folder),
		T(test_killed),
	};

	return need_status(cmocka_run_group_tests(tests, NULL, NULL));
}
