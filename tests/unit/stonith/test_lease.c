/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Locks, leases and confirmations, between processes and across their deaths. */
#include "lease.h"

#include "confirm.h"
#include "need.h"
#include "note.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static struct temp temp;
static char dir[TEMP_PATH_MAX];

static int set_up(void **state)
{
	struct err err;

	(void)state;
	temp_init(&temp);
	snprintf(dir, sizeof(dir), "%s", temp_path(&temp, "run"));
	return lease_prepare(dir, &err);
}

static int tear_down(void **state)
{
	(void)state;
	temp_done(&temp);
	return 0;
}

static void test_prepare(void **state)
{
	struct stat st;
	struct err err;

	(void)state;
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(lease_prepare(dir, &err), 0);
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(lease_prepare(dir, &err), -EPERM);
	assert_non_null(strstr(err.text, "mode 0755: must be 0700"));
	assert_int_equal(symlink(dir, temp_path(&temp, "link")), 0);
	assert_int_equal(lease_prepare(temp.path, &err), -ENOTDIR);
	assert_int_equal(lease_prepare(temp_path(&temp, "no/such"), &err), -ENOENT);
}

static void test_folder_of_another(void **state)
{
	struct err err;

	(void)state;
	need_root();
	assert_int_equal(chown(dir, 12345, 0), 0);
	assert_int_equal(lease_prepare(dir, &err), -EPERM);
	assert_non_null(strstr(err.text, "belongs to user 12345"));
}

static void test_lock(void **state)
{
	struct err err;
	int fd, other;

	(void)state;
	assert_false(lease_is_locked(dir, "n1"));
	fd = lease_lock(dir, "n1", "fence_xnbd", 0, &err);
	assert_true(fd >= 0);
	assert_true(lease_is_locked(dir, "N1"));
	assert_false(lease_is_locked(dir, "n2"));
	assert_int_equal(lease_lock(dir, "N1", "hand", 0, &err), -EBUSY);
	assert_non_null(strstr(err.text, "N1: is being handled by fence_xnbd (pid "));
	other = lease_lock(dir, "n2", "hand", 0, &err);
	assert_true(other >= 0);
	close(other);
	close(fd);
	assert_false(lease_is_locked(dir, "n1")); /* to look is not to take */
	fd = lease_lock(dir, "n1", "hand", 0, &err);
	assert_true(fd >= 0);
	close(fd);
}

/* Who is killed does not keep it; who waits gets it. */
static void test_lock_of_dead(void **state)
{
	int ready[2], fd;
	struct err err;
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		if (lease_lock(dir, "n1", "child", 0, &err) >= 0 && write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(lease_lock(dir, "n1", "hand", 20, &err), -EBUSY);
	kill(pid, SIGKILL);
	fd = lease_lock(dir, "n1", "hand", 60000, &err);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(ready[0]);
	close(ready[1]);
}

static void test_lock_cannot(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(lease_lock("/proc/nowhere", "n1", "hand", 0, &err), -ENOENT);
}

static void test_off_lease(void **state)
{
	struct err err;
	unsigned s;
	char unit;

	(void)state;
	assert_int_equal(lease_may_on(dir, "n1", "hand", &err), 0);
	assert_int_equal(lease_want_off(dir, "n1", "pacemaker", 60000, &err), 0);
	assert_int_equal(lease_may_on(dir, "n1", "pacemaker", &err), 0);
	assert_int_equal(lease_may_on(dir, "n2", "hand", &err), 0);
	assert_int_equal(lease_may_on(dir, "N1", "hand", &err), -EBUSY);
	/* 60 s, less what this test took. */
	assert_int_equal(
		sscanf(err.text, "N1: pacemaker wants it off for another %u %c", &s, &unit), 2);
	assert_true(s > 0 && s <= 60 && unit == 's');
	/* A shorter one of another does not make it shorter. */
	assert_int_equal(lease_want_off(dir, "n1", "heartbeat", 1, &err), 0);
	assert_int_equal(lease_may_on(dir, "n1", "pacemaker", &err), -EBUSY);
	lease_drop(dir, "n1");
	assert_int_equal(lease_may_on(dir, "n1", "hand", &err), 0);
	lease_drop(dir, "n1");
}

/* Names are cut and cleaned the same way on both sides. */
static void test_off_lease_names(void **state)
{
	char actor[300];
	struct err err;

	(void)state;
	memset(actor, 'x', sizeof(actor) - 1);
	actor[sizeof(actor) - 1] = 0;
	actor[3] = '\n';
	assert_int_equal(lease_want_off(dir, "n1", actor, 60000, &err), 0);
	assert_int_equal(lease_may_on(dir, "n1", actor, &err), 0);
	assert_int_equal(lease_may_on(dir, "n1", "x", &err), -EBUSY);
	assert_null(strchr(err.text, '\n'));
}

static void write_note(const char *boot, long long from, long long until, const char *tail)
{
	FILE *f = fopen(temp_path(&temp, "run/n1.off"), "we");
	long long now = (long long)lease_clock_ms();

	assert_non_null(f);
	fprintf(f, "%s %lld %lld %s", boot, now + from, now + until, tail);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(temp.path, 0600), 0);
}

static int may_on(void)
{
	struct err err;

	return lease_may_on(dir, "n1", "hand", &err);
}

/* Expired, of another boot, of the future, torn, open to others: none. */
static void test_notes(void **state)
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	char boot[64] = "";

	(void)state;
	assert_non_null(f);
	assert_non_null(fgets(boot, sizeof(boot), f));
	fclose(f);
	boot[strcspn(boot, "\n")] = 0;
	write_note(boot, -1000, 50000, "them\n");
	assert_int_equal(may_on(), -EBUSY);
	write_note(boot, -1000, 50000, "them");
	assert_int_equal(may_on(), 0);
	write_note(boot, -1000, 50000, "\n");
	assert_int_equal(may_on(), -EBUSY);
	write_note(boot, -1000, -1, "them\n");
	assert_int_equal(may_on(), 0);
	write_note(boot, 40000, 50000, "them\n");
	assert_int_equal(may_on(), 0);
	write_note(boot, -1000, NOTE_MS_MAX, "them\n");
	assert_int_equal(may_on(), 0);
	write_note("00000000-0000-0000-0000-000000000000", -1000, 50000, "them\n");
	assert_int_equal(may_on(), 0);
	write_note(boot, -1000, 50000, "them\n");
	assert_int_equal(chmod(temp.path, 0620), 0);
	assert_int_equal(may_on(), 0);
}

static void test_confirm(void **state)
{
	struct confirm c;
	struct err err;

	(void)state;
	assert_false(confirm_get(dir, "n1", CONFIRM_DOWN, &c));
	assert_int_equal(confirm_set(dir, "n1", CONFIRM_DOWN, "root on tty1", 60000, &err), 0);
	assert_false(confirm_get(dir, "n1", CONFIRM_ON, NULL));
	assert_false(confirm_get(dir, "n2", CONFIRM_DOWN, NULL));
	assert_true(confirm_get(dir, "N1", CONFIRM_DOWN, &c));
	assert_string_equal(c.who, "root on tty1");
	assert_true(c.left_ms > 0 && c.left_ms <= 60000);
	assert_true(confirm_take(dir, "n1", CONFIRM_DOWN, &c));
	assert_string_equal(c.who, "root on tty1");
	assert_false(confirm_take(dir, "n1", CONFIRM_DOWN, &c));
	assert_int_equal(confirm_set(dir, "n1", CONFIRM_ON, "a", 60000, &err), 0);
	confirm_drop(dir, "n1", CONFIRM_ON);
	assert_false(confirm_get(dir, "n1", CONFIRM_ON, NULL));
	assert_int_equal(confirm_set(dir, "n1", CONFIRM_ON, "a", 0, &err), 0);
	assert_false(confirm_get(dir, "n1", CONFIRM_ON, NULL));
	assert_int_equal(confirm_set("/proc/nowhere", "n1", CONFIRM_ON, "a", 1, &err), -ENOENT);
}

/* Of several that want to use it up, one does. */
static void test_confirm_once(void **state)
{
	enum { PROCESSES = 8 };
	int status, taken = 0;
	struct err err;

	(void)state;
	assert_int_equal(confirm_set(dir, "n1", CONFIRM_DOWN, "root", 600000, &err), 0);
	for (int i = 0; i < PROCESSES; i++) {
		if (fork() == 0)
			_exit(confirm_take(dir, "n1", CONFIRM_DOWN, NULL));
	}
	for (int i = 0; i < PROCESSES; i++) {
		assert_true(wait(&status) > 0 && WIFEXITED(status));
		taken += WEXITSTATUS(status);
	}
	assert_int_equal(taken, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_prepare),
		T(test_folder_of_another),
		T(test_lock),
		T(test_lock_of_dead),
		T(test_lock_cannot),
		T(test_off_lease),
		T(test_off_lease_names),
		T(test_notes),
		T(test_confirm),
		T(test_confirm_once),
	};

	return need_status(cmocka_run_group_tests(tests, NULL, NULL));
}
