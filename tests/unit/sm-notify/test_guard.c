/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The run-once guard: what is believed and what is not (cases 67 to 69 and defect 4 of the
 * reference page): in doubt it must not keep anybody from notifying.
 */
#include "guard.h"

#include "settings.h"

#include "statedir.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include <cmocka.h>

static struct statedir dir;
static struct guard g;
static char run_dir[600], proc_root[600];
static int sm;
static long file_system;

/* Instead of the library's: that of the guard is what the test says. */
int fstatfs(int fd, struct statfs *fs)
{
	(void)fd;
	*fs = (struct statfs){.f_type = file_system};
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	file_system = EXT4_SUPER_MAGIC;
	statedir_init(&dir);
	snprintf(run_dir, sizeof(run_dir), "%s", statedir_path(&dir, "run"));
	snprintf(proc_root, sizeof(proc_root), "%s", statedir_path(&dir, "proc"));
	mkdir(run_dir, 0700);
	mkdir(proc_root, 0700);
	mkdir(statedir_path(&dir, "proc/sys"), 0700);
	mkdir(statedir_path(&dir, "proc/sys/kernel"), 0700);
	mkdir(statedir_path(&dir, "proc/sys/kernel/random"), 0700);
	statedir_put(&dir, "proc/sys/kernel/random/boot_id", "first-boot\n");
	sm = open(statedir_path(&dir, "sm"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return sm < 0;
}

static int tear_down(void **state)
{
	(void)state;
	guard_abandon(&g);
	fd_close(&sm);
	statedir_done(&dir);
	return 0;
}

static void start(const char *directory)
{
	guard_abandon(&g);
	guard_init(&g, run_dir, proc_root, directory, sm);
}

static void check(enum guard_outcome want)
{
	pid_t pid;

	assert_int_equal(guard_look(&g, &pid), want);
	if (want != GUARD_NONE)
		assert_int_equal(pid, getpid());
}

static void set(enum guard_outcome outcome)
{
	guard_prepare(&g);
	guard_set(&g, outcome);
}

static void test_life(void **state)
{
	(void)state;
	start("/srv/a");
	check(GUARD_NONE);
	guard_prepare(&g);
	check(GUARD_NONE); /* prepared is not done */
	guard_set(&g, GUARD_RUNNING);
	check(GUARD_RUNNING);
	guard_set(&g, GUARD_FAILED);
	check(GUARD_FAILED);
	guard_set(&g, GUARD_DONE);
	check(GUARD_DONE);
	start("/srv/a");
	check(GUARD_DONE);
	assert_int_equal(dir.lines, 0);
}

static void test_failure_leaves_nothing(void **state)
{
	(void)state;
	start("/srv/a");
	guard_prepare(&g);
	guard_abandon(&g);
	assert_string_equal(statedir_names(&dir, "run"), "");
	set(GUARD_DONE);
	start("/srv/a"); /* with -f */
	guard_prepare(&g);
	guard_abandon(&g);
	start("/srv/a");
	check(GUARD_DONE); /* of the run before */
}

static void test_forgotten(void **state)
{
	(void)state;
	start("/srv/a");
	guard_forget(&g);
	assert_string_equal(statedir_names(&dir, "run"), "");
	set(GUARD_DONE);
	guard_forget(&g);
	check(GUARD_NONE);
	start("/srv/a");
	check(GUARD_NONE);
	set(GUARD_RUNNING);
	check(GUARD_RUNNING);
	statedir_put(&dir, "secret", "precious");
	unlink(g.path);
	assert_int_equal(symlink("../secret", g.path), 0);
	guard_forget(&g);
	assert_string_equal(statedir_text(&dir, "secret"), "precious");
}

static void test_another_boot(void **state)
{
	(void)state;
	start("/srv/a");
	set(GUARD_DONE);
	statedir_put(&dir, "proc/sys/kernel/random/boot_id", "second-boot\n");
	start("/srv/a");
	check(GUARD_NONE);
	set(GUARD_RUNNING);
	check(GUARD_RUNNING);
}

static void test_another_directory(void **state)
{
	(void)state;
	start("/srv/a");
	set(GUARD_DONE);
	start("/srv/b");
	check(GUARD_NONE);
	set(GUARD_DONE);
	start("/srv/a");
	check(GUARD_DONE);
}

/* A copy has the same path as the one before, but is another folder. */
static void test_a_folder_made_anew(void **state)
{
	(void)state;
	start("/srv/a");
	set(GUARD_DONE);
	fd_close(&sm);
	assert_int_equal(rmdir(statedir_path(&dir, "sm")), 0);
	assert_int_equal(mkdir(statedir_path(&dir, "other"), 0700), 0);
	assert_int_equal(mkdir(statedir_path(&dir, "sm"), 0700), 0);
	sm = open(statedir_path(&dir, "sm"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	start("/srv/a");
	check(GUARD_NONE);
}

static const char *guard_name(void)
{
	static char name[100];

	snprintf(name, sizeof(name), "run%s", strrchr(g.path, '/'));
	return name;
}

/* Cut at every place and changed at every place, it says nothing. */
static void test_half_written(void **state)
{
	char text[1000], changed[1002];
	size_t len;
	pid_t pid;

	(void)state;
	start("/srv/a");
	set(GUARD_DONE);
	snprintf(text, sizeof(text), "%s", statedir_text(&dir, guard_name()));
	len = strlen(text);
	for (size_t i = 0; i < len; i++) {
		bool is_pid = i <= strcspn(text, "\n") + 1 && i > 0;

		statedir_put_bytes(&dir, guard_name(), text, i);
		if (!is_pid) /* a number alone is what the reference writes */
			assert_int_equal(guard_look(&g, &pid), GUARD_NONE);
		memcpy(changed, text, len + 1);
		changed[i] ^= 1;
		statedir_put(&dir, guard_name(), changed);
		if (i > strcspn(text, "\n"))
			assert_int_equal(guard_look(&g, &pid), GUARD_NONE);
	}
	statedir_put(&dir, guard_name(), text);
	assert_int_equal(guard_look(&g, &pid), GUARD_DONE);
	snprintf(changed, sizeof(changed), "%sx", text);
	statedir_put(&dir, guard_name(), changed);
	assert_int_equal(guard_look(&g, &pid), GUARD_NONE);
}

static void test_of_the_reference(void **state)
{
	pid_t pid;

	(void)state;
	start("/srv/a");
	statedir_put(&dir, guard_name(), "4711\n");
	assert_int_equal(guard_look(&g, &pid), GUARD_NONE); /* may be of another boot */
	file_system = TMPFS_MAGIC;
	assert_int_equal(guard_look(&g, &pid), GUARD_DONE);
	assert_int_equal(pid, 4711);
	statedir_put(&dir, guard_name(), "4711");
	assert_int_equal(guard_look(&g, &pid), GUARD_DONE);
	statedir_put(&dir, guard_name(), "");
	assert_int_equal(guard_look(&g, &pid), GUARD_NONE);
	statedir_put(&dir, guard_name(), "hello\n");
	assert_int_equal(guard_look(&g, &pid), GUARD_NONE);
	assert_int_equal(pid, 0);
}

static void test_no_place_for_it(void **state)
{
	(void)state;
	snprintf(run_dir, sizeof(run_dir), "%s", statedir_path(&dir, "absent"));
	start("/srv/a");
	check(GUARD_NONE);
	set(GUARD_DONE);
	check(GUARD_NONE);
	assert_int_equal(dir.lines, 1);
	assert_non_null(strstr(dir.log, "a second run would notify again"));
}

static void test_things_in_its_place(void **state)
{
	(void)state;
	start("/srv/a");
	statedir_put(&dir, "secret", "1\n");
	assert_int_equal(symlink("../secret", g.path), 0);
	check(GUARD_NONE);
	set(GUARD_DONE);
	assert_string_equal(statedir_text(&dir, "secret"), "1\n");
	assert_int_equal(unlink(g.path), 0);
	assert_int_equal(mkfifo(g.path, 0600), 0);
	start("/srv/a");
	check(GUARD_NONE);
	set(GUARD_DONE);
	check(GUARD_NONE);
}

static void test_default_name(void **state)
{
	(void)state;
	start("/srv/a");
	assert_null(strstr(g.path, "/sm-notify.pid"));
	if (access(SETTINGS_DIRECTORY, F_OK) < 0)
		skip();
	start(SETTINGS_DIRECTORY);
	assert_non_null(strstr(g.path, "/sm-notify.pid"));
}

static void test_boot_unknown(void **state)
{
	pid_t pid;

	(void)state;
	start("/srv/a");
	*g.boot = 0;
	set(GUARD_DONE);
	assert_int_equal(guard_look(&g, &pid), GUARD_NONE);
	assert_int_equal(dir.lines, 1);
}

static void test_lock(void **state)
{
	int again = open(statedir_path(&dir, "sm"), O_RDONLY | O_DIRECTORY | O_CLOEXEC), status;
	pid_t child;

	(void)state;
	assert_int_equal(guard_lock(sm), 0);
	assert_int_equal(guard_lock(sm), 0);
	assert_int_equal(guard_lock(again), -EWOULDBLOCK);
	child = fork(); /* as into the background: it keeps the lock */
	if (child == 0) {
		pause();
		_exit(0);
	}
	fd_close(&sm);
	assert_int_equal(guard_lock(again), -EWOULDBLOCK);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	assert_int_equal(guard_lock(again), 0);
	close(again);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_life),
		TEST(test_failure_leaves_nothing),
		TEST(test_forgotten),
		TEST(test_another_boot),
		TEST(test_another_directory),
		TEST(test_a_folder_made_anew),
		TEST(test_half_written),
		TEST(test_of_the_reference),
		TEST(test_no_place_for_it),
		TEST(test_things_in_its_place),
		TEST(test_default_name),
		TEST(test_boot_unknown),
		TEST(test_lock),
	};

	g.fd = -1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
