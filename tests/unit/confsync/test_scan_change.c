/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scans one after the other: what has changed is seen, whatever was done to hide it, and what has
 * not is not read again. How long a file has been left alone decides about the index, so tests wait
 * for INDEX_RACY_NS where they are about that.
 */
#include "scan.h"

#include "check.h"
#include "index.h"
#include "need.h"
#include "scans.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

static struct scans s;
static uint8_t before[MANIFEST_HASH];

static int set_up(void **state)
{
	(void)state;
	scans_init(&s);
	scans_write(&s, "f", "abc\n");
	scans_write(&s, "d/g", "def\n");
	scans_config(&s, "paths = {\"@/\"}", "");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	scans_done(&s);
	return 0;
}

static void run(enum scan_depth depth)
{
	assert_int_equal(scans_run(&s, depth), 0);
	assert_int_equal(s.scan.fault_count, 0);
}

/* Until files are so old that the index is believed. */
static void settle(void)
{
	struct timespec t = {.tv_sec = INDEX_RACY_NS / 1000000000, .tv_nsec = 200000000};

	nanosleep(&t, NULL);
	run(SCAN_QUICK);
	memcpy(before, s.scan.digest, sizeof(before));
}

static void assert_seen(void)
{
	run(SCAN_QUICK);
	assert_memory_not_equal(before, s.scan.digest, sizeof(before));
	memcpy(before, s.scan.digest, sizeof(before));
}

static void test_unchanged(void **state)
{
	(void)state;
	run(SCAN_QUICK);
	assert_int_equal(s.scan.hashed, 2);
	settle();
	run(SCAN_QUICK);
	assert_int_equal(s.scan.hashed, 0);
	assert_memory_equal(before, s.scan.digest, sizeof(before));
	run(SCAN_FULL);
	assert_int_equal(s.scan.hashed, 2);
	assert_memory_equal(before, s.scan.digest, sizeof(before));
	scans_shell(&s, "echo >>f");
	assert_seen();
	assert_int_equal(s.scan.hashed, 1);
}

/* Same size, same second, mostly the same tick: some times, as one may be seen by luck. Without
 * O_TRUNC, for which file systems write to the disk. */
static void test_same_tick(void **state)
{
	CLEANUP_FD int fd = open(scans_path(&s, "f"), O_WRONLY | O_CLOEXEC);

	(void)state;
	run(SCAN_QUICK);
	memcpy(before, s.scan.digest, sizeof(before));
	for (unsigned char i = 'd'; i < 'z'; i++) {
		assert_int_equal(pwrite(fd, &i, 1, 0), 1);
		assert_seen();
	}
}

static void test_hidden(void **state)
{
	(void)state;
	scans_shell(&s, "echo abc >one && echo abc >two && echo abc >three && echo def >four");
	settle();
	scans_shell(&s, "touch -r one stamp && echo xyz >one && touch -r stamp one && rm stamp");
	assert_seen();
	assert_int_equal(s.scan.hashed, 1);
	scans_shell(&s, "touch -r two new && echo new >new && touch -r two new && mv new two");
	assert_seen();
	scans_shell(&s, "mv three h && mv four three && mv h four");
	assert_seen();
}

static void test_not_content(void **state)
{
	(void)state;
	settle();
	scans_shell(&s, "chmod 0600 f");
	assert_seen();
	scans_shell(&s, "chown daemon f");
	assert_seen();
	scans_shell(&s, "chgrp 4242 d");
	assert_seen();
	scans_shell(&s, "setfattr -n user.mime -v text f");
	assert_seen();
	assert_string_equal((char *)scans_entry(&s, "f")->attrs[0].value, "text");
	scans_shell(&s, "setfacl -m u:daemon:r f");
	assert_seen();
	scans_shell(&s, "setfacl -d -m u:daemon:r d");
	assert_seen();
	settle();
	run(SCAN_QUICK);
	assert_int_equal(s.scan.hashed, 0);
	assert_memory_equal(before, s.scan.digest, sizeof(before));
	assert_int_equal(scans_entry(&s, "f")->attr_count, 2);
	scans_shell(&s, "setfattr -x user.mime f && setfacl -b f");
	assert_seen();
	assert_int_equal(scans_entry(&s, "f")->attr_count, 0);
}

static void test_deleted(void **state)
{
	(void)state;
	settle();
	scans_shell(&s, "rm f");
	assert_seen();
	assert_null(scans_entry(&s, "f"));
	scans_shell(&s, "rm -r d && echo >d");
	assert_seen();
	assert_int_equal(scans_entry(&s, "d")->type, MANIFEST_FILE);
}

static void test_hard_links(void **state)
{
	(void)state;
	scans_shell(&s, "ln f d/same");
	run(SCAN_QUICK);
	assert_int_equal(entry_difference(scans_entry(&s, "f"), scans_entry(&s, "d/same")), 0);
	settle();
	scans_shell(&s, "printf 'ABC\\n' >d/same");
	assert_seen();
	assert_int_equal(entry_difference(scans_entry(&s, "f"), scans_entry(&s, "d/same")), 0);
}

static void test_index_damaged(void **state)
{
	(void)state;
	settle();
	scans_shell(&s, "printf X | dd of=%s bs=1 seek=100 conv=notrunc status=none", s.index);
	run(SCAN_QUICK);
	assert_int_equal(s.scan.hashed, 2);
	run(SCAN_QUICK);
	assert_int_equal(s.scan.hashed, 0);
	scans_shell(&s, "rm %s && mkdir %s", s.index, s.index); /* it cannot be saved */
	run(SCAN_QUICK);
	assert_memory_equal(before, s.scan.digest, sizeof(before));
	assert_int_equal(s.scan.hashed, 2);
}

/* A writer who never pauses. */
static void *scribble(void *arg)
{
	const bool *end = arg;
	int fd = open(s.path, O_WRONLY | O_CLOEXEC);

	for (unsigned char c = 0; !__atomic_load_n(end, __ATOMIC_SEQ_CST); c++)
		CHECK(pwrite(fd, &c, 1, 8 * 1024 * 1024) == 1);
	close(fd);
	return NULL;
}

static void test_while_read(void **state)
{
	bool end = false;
	pthread_t writer;
	int r = 0;

	(void)state;
	scans_shell(&s, "truncate -s 16M f");
	scans_path(&s, "f");
	assert_int_equal(pthread_create(&writer, NULL, scribble, &end), 0);
	for (int i = 0; i < 200 && r == 0; i++)
		r = scans_run(&s, SCAN_FULL);
	__atomic_store_n(&end, true, __ATOMIC_SEQ_CST);
	pthread_join(writer, NULL);
	assert_int_equal(r, -EAGAIN);
	assert_non_null(strstr(s.err.text, "/f: changes while it is read"));
	assert_int_equal(s.scan.files.count, 0);
	run(SCAN_QUICK);
}

/* A folder that is exchanged for a link, again and again: what lies behind it is never taken. */
static void *exchange(void *arg)
{
	const bool *end = arg;
	char d[512], aside[512];

	snprintf(d, sizeof(d), "%s/d", s.root);
	snprintf(aside, sizeof(aside), "%s/aside", s.temp.folder);
	while (!__atomic_load_n(end, __ATOMIC_SEQ_CST)) {
		CHECK(rename(d, aside) == 0 && symlink("/etc", d) == 0);
		CHECK(unlink(d) == 0 && rename(aside, d) == 0);
	}
	return NULL;
}

static void test_folder_exchanged(void **state)
{
	bool end = false;
	pthread_t other;

	(void)state;
	scans_config(&s, "paths = {\"@/**/passwd\", \"@/d/\"}", "");
	s.index[0] = 0;
	assert_int_equal(pthread_create(&other, NULL, exchange, &end), 0);
	for (int i = 0; i < 60; i++) {
		CHECK(scans_run(&s, SCAN_QUICK) == 0);
		CHECK(!scans_entry(&s, "d/passwd"));
	}
	__atomic_store_n(&end, true, __ATOMIC_SEQ_CST);
	pthread_join(other, NULL);
}

/* System calls of a scan in a child that is traced. */
static unsigned count_calls(void)
{
	unsigned stops = 0;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		CHECK(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
		raise(SIGSTOP);
		_exit(scans_run(&s, SCAN_QUICK) == 0 && s.scan.hashed == 0 ? 0 : 1);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	for (; WIFSTOPPED(status); stops++)
		CHECK(ptrace(PTRACE_SYSCALL, pid, NULL, NULL) == 0 &&
			waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return stops / 2;
}

static void test_calls(void **state)
{
	enum { FILES = 1000, FOLDERS = 10, EACH_FOLDER = 12, MORE = 400 };
	unsigned few, many;

	(void)state;
	settle();
	few = count_calls();
	assert_true(few < MORE);
	scans_shell(&s, "for d in $(seq %d); do mkdir n$d; (cd n$d; seq %d | xargs touch); done",
		FOLDERS, FILES / FOLDERS);
	settle();
	many = count_calls();
	assert_in_range(many - few, FILES, FILES + FOLDERS * EACH_FOLDER + 200);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_unchanged),
		T(test_same_tick),
		T(test_hidden),
		T(test_not_content),
		T(test_deleted),
		T(test_hard_links),
		T(test_index_damaged),
		T(test_while_read),
		T(test_folder_exchanged),
		T(test_calls),
	};

	if (geteuid() != 0)
		return need_all("root, who alone can give owners away");
	return need_status(cmocka_run_group_tests(tests, NULL, NULL));
}
