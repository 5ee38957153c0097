/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The root phase as a whole: who is let in, what is on disk at each step, when the grace period may
 * end (cases 9 to 15, 27, 67 to 69 of the reference page).
 */
#include "prepare.h"

#include "need.h"
#include "statedir.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { OWNER = 12345 };

#define LINE  STATEDIR_LINE
#define GOOD  LINE("10.9.0.2", "nfssrv.lab.test") "\n"
#define GRACE "proc/fs/lockd/nlm_end_grace"
#define LOCAL "proc/sys/fs/nfs/nsm_local_state"

static struct statedir dir;
static struct settings s;
static struct prepared p;
static char run_dir[600], proc_root[600];

static void make_folders(const char *const *names)
{
	for (; *names; names++)
		assert_int_equal(mkdir(statedir_path(&dir, *names), 0755), 0);
}

static int set_up(void **state)
{
	static const char *const names[] = {"run", "proc", "proc/fs", "proc/fs/lockd", "proc/sys",
		"proc/sys/fs", "proc/sys/fs/nfs", NULL};

	(void)state;
	statedir_init(&dir);
	chmod(dir.temp.folder, 0755);
	make_folders(names);
	statedir_put(&dir, GRACE, "");
	statedir_put(&dir, LOCAL, "");
	if (geteuid() == 0) {
		assert_int_equal(chown(statedir_path(&dir, "sm"), OWNER, OWNER), 0);
		assert_int_equal(chown(statedir_path(&dir, "sm.bak"), OWNER, OWNER), 0);
	}
	snprintf(run_dir, sizeof(run_dir), "%s", statedir_path(&dir, "run"));
	snprintf(proc_root, sizeof(proc_root), "%s", statedir_path(&dir, "proc"));
	s = (struct settings){.update_state = true,
		.kernel_state = true,
		.lift_grace = true,
		.directory = dir.temp.folder,
		.run_dir = run_dir,
		.proc_root = proc_root};
	monlist_init(&p.list);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	prepare_done(&p);
	statedir_done(&dir);
	return 0;
}

static void put_record(const char *name, const char *content)
{
	statedir_put(&dir, name, content);
	if (geteuid() == 0)
		assert_int_equal(chown(dir.path, OWNER, OWNER), 0);
}

static enum prepare_answer enter(void)
{
	struct err err = {0};
	pid_t pid;

	prepare_done(&p);
	if (prepare_open(&p, &s, &err) < 0)
		fail_msg("%s", err.text);
	return prepare_enter(&p, &pid);
}

/* The steps that change something; then as if told. */
static void go(enum guard_outcome outcome)
{
	struct err err = {0};

	if (prepare_records(&p, &err) < 0 || prepare_state(&p, &err) < 0)
		fail_msg("%s", err.text);
	guard_prepare(&p.guard);
	if (s.update_state)
		guard_set(&p.guard, outcome);
}

static void test_a_run(void **state)
{
	(void)state;
	put_record("sm/peer", GOOD);
	assert_int_equal(enter(), PREPARE_GO);
	assert_true(statedir_has(&dir, "sm/peer"));
	go(GUARD_DONE);
	assert_int_equal(p.list.peer_count, 1);
	assert_int_equal(p.state, 3);
	assert_string_equal(statedir_text(&dir, LOCAL), "3");
	assert_string_equal(statedir_text(&dir, GRACE), "");
	assert_true(statedir_has(&dir, "sm.bak/peer"));
	assert_false(statedir_has(&dir, "sm/peer"));
	assert_int_equal(geteuid(), getuid());
}

static void test_once(void **state)
{
	(void)state;
	assert_int_equal(enter(), PREPARE_GO);
	go(GUARD_DONE);
	assert_int_equal(enter(), PREPARE_ALREADY);
	s.force = true;
	assert_int_equal(enter(), PREPARE_GO);
	go(GUARD_DONE);
	assert_int_equal(p.state, 5);
	s.force = false;
	s.update_state = false; /* -n: neither looks at it nor sets it */
	assert_int_equal(enter(), PREPARE_GO);
	assert_false(p.resumed);
	go(GUARD_DONE);
	assert_int_equal(p.state, 5);
}

static void test_no_update_does_not_set_it(void **state)
{
	(void)state;
	s.update_state = false;
	assert_int_equal(enter(), PREPARE_GO);
	go(GUARD_DONE);
	s.update_state = true;
	assert_int_equal(enter(), PREPARE_GO);
}

/* Ended before all were told: records of this boot in sm stay, the number stays. */
/* A forced run that is killed at once must not leave the word of the one before. */
static void test_forced_and_killed(void **state)
{
	(void)state;
	assert_int_equal(enter(), PREPARE_GO);
	go(GUARD_DONE);
	s.force = true;
	put_record("sm/peer", GOOD);
	assert_int_equal(enter(), PREPARE_GO);
	prepare_begin(&p);
	s.force = false;
	assert_int_equal(enter(), PREPARE_GO);
	assert_false(p.resumed);
	go(GUARD_RUNNING);
	assert_int_equal(enter(), PREPARE_GO);
	assert_true(p.resumed);
	prepare_begin(&p); /* nothing to forget */
	assert_int_equal(enter(), PREPARE_GO);
	assert_true(p.resumed);
}

static void test_resumed(void **state)
{
	static const enum guard_outcome outcomes[] = {GUARD_RUNNING, GUARD_FAILED};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
		put_record("sm/old", GOOD);
		s.force = true;
		assert_int_equal(enter(), PREPARE_GO);
		go(outcomes[i]);
		put_record("sm/live", GOOD);
		s.force = false;
		assert_int_equal(enter(), PREPARE_GO);
		assert_true(p.resumed);
		go(GUARD_DONE);
		assert_int_equal(p.state, 3 + 2 * i);
		assert_int_equal(p.list.peer_count, 1);
		assert_string_equal(monlist_peer_name(&p.list, p.list.peers), "old");
		assert_true(statedir_has(&dir, "sm/live"));
		assert_int_equal(prepare_nobody(&p, NULL), 0);
		assert_string_equal(statedir_text(&dir, GRACE), ""); /* sm was not read */
		assert_int_equal(unlink(statedir_path(&dir, "sm/live")), 0);
	}
}

static void test_two_at_once(void **state)
{
	struct prepared other;
	struct err err = {0};
	pid_t pid;

	(void)state;
	assert_int_equal(enter(), PREPARE_GO);
	assert_int_equal(prepare_open(&other, &s, &err), 0);
	assert_int_equal(prepare_enter(&other, &pid), PREPARE_BUSY);
	go(GUARD_RUNNING);
	assert_int_equal(prepare_enter(&other, &pid), PREPARE_ALREADY);
	assert_int_equal(pid, getpid());
	s.force = true;
	assert_int_equal(prepare_enter(&other, &pid), PREPARE_BUSY);
	prepare_done(&other);
}

static void test_nobody(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(enter(), PREPARE_GO);
	go(GUARD_DONE);
	assert_int_equal(prepare_nobody(&p, &err), 0);
	assert_string_equal(statedir_text(&dir, GRACE), "Y");
	assert_string_equal(statedir_text(&dir, LOCAL), "3"); /* the kernel is told all the same */
	s.lift_grace = false;
	s.force = true;
	statedir_put(&dir, GRACE, "");
	assert_int_equal(enter(), PREPARE_GO);
	go(GUARD_DONE);
	assert_int_equal(prepare_nobody(&p, &err), 0);
	assert_string_equal(statedir_text(&dir, GRACE), "");
}

static void check_grace_kept(void)
{
	struct err err = {0};

	assert_int_equal(enter(), PREPARE_GO);
	go(GUARD_DONE);
	assert_int_equal(p.list.peer_count, 0);
	assert_int_equal(prepare_nobody(&p, &err), -EIO);
	assert_string_equal(statedir_text(&dir, GRACE), "");
	s.force = true;
}

static void test_nobody_is_not_certain(void **state)
{
	(void)state;
	assert_int_equal(symlink("x", statedir_path(&dir, "sm/link")), 0);
	check_grace_kept();
	assert_int_equal(unlink(statedir_path(&dir, "sm/link")), 0);
	put_record("sm/garbage", "garbage");
	check_grace_kept();
	put_record("sm.bak/empty", "");
	check_grace_kept();
	put_record("sm/a b", GOOD);
	check_grace_kept();
	assert_int_equal(mkdir(statedir_path(&dir, "sm.bak/folder"), 0700), 0);
	check_grace_kept();
	assert_int_equal(rmdir(statedir_path(&dir, "sm.bak/folder")), 0);
	assert_int_equal(enter(), PREPARE_GO); /* what was kept aside is out of the way */
	go(GUARD_DONE);
	assert_int_equal(prepare_nobody(&p, NULL), 0);
	assert_string_equal(statedir_text(&dir, GRACE), "Y");
}

static void test_kernel_state_not_wanted(void **state)
{
	(void)state;
	s.kernel_state = false;
	assert_int_equal(enter(), PREPARE_GO);
	go(GUARD_DONE);
	assert_string_equal(statedir_text(&dir, LOCAL), "");
}

static void test_folders_the_owner_cannot_read(void **state)
{
	static const char *const names[] = {"sm", "sm.bak"};

	(void)state;
	need_root();
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct err err = {0};

		assert_int_equal(chmod(statedir_path(&dir, names[i]), 0), 0);
		assert_int_equal(enter(), PREPARE_GO);
		assert_int_equal(prepare_records(&p, &err), -EACCES);
		assert_non_null(strstr(err.text, names[i]));
		assert_int_equal(geteuid(), 0);
		assert_int_equal(prepare_nobody(&p, &err), -EIO);
		assert_int_equal(chmod(statedir_path(&dir, names[i]), 0700), 0);
	}
	assert_string_equal(statedir_text(&dir, GRACE), "");
}

static void test_state_not_writable(void **state)
{
	struct err err = {0};

	(void)state;
	put_record("sm/peer", GOOD);
	assert_int_equal(enter(), PREPARE_GO);
	assert_int_equal(prepare_records(&p, &err), 0);
	assert_int_equal(mkdir(statedir_path(&dir, "state"), 0700), 0);
	assert_int_equal(prepare_state(&p, &err), -EINVAL);
	assert_non_null(strstr(err.text, "state"));
	assert_string_equal(statedir_text(&dir, LOCAL), "");
	assert_true(statedir_has(&dir, "sm.bak/peer"));
	assert_int_equal(rmdir(statedir_path(&dir, "state")), 0);
	assert_int_equal(enter(), PREPARE_GO); /* the guard is not set */
	assert_false(p.resumed);
}

static void test_look(void **state)
{
	struct err err = {0};

	(void)state;
	put_record("sm/peer", GOOD);
	assert_int_equal(enter(), PREPARE_GO);
	assert_int_equal(prepare_look(&p, &err), 0);
	assert_int_equal(p.list.peer_count, 1);
	assert_true(statedir_has(&dir, "sm/peer"));
	assert_string_equal(statedir_names(&dir, "sm.bak"), "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_run),
		TEST(test_once),
		TEST(test_no_update_does_not_set_it),
		TEST(test_forced_and_killed),
		TEST(test_resumed),
		TEST(test_two_at_once),
		TEST(test_nobody),
		TEST(test_nobody_is_not_certain),
		TEST(test_kernel_state_not_wanted),
		TEST(test_folders_the_owner_cannot_read),
		TEST(test_state_not_writable),
		TEST(test_look),
	};

	p.guard.fd = -1;
	return need_status(cmocka_run_group_tests(tests, NULL, NULL));
}
