/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looking at images in a child: what it finds, one callback a probe, no descriptor and no living
 * child left behind. In place of a dead file server a seccomp filter, put on the child by a fork
 * handler, makes open() hang; the clock is moved by hand.
 */
#include "check.h"
#include "clock.h"
#include "fds.h"
#include "loop.h"
#include "nbd.h"
#include "probe.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { START_MS = 5000, HANG_MS = 10 * 1000, IMAGE_BYTES = 12345 };

static struct temp temp;
static struct reactor reactor;
static struct probe_list probes = {.reactor = &reactor};
static unsigned fds_before;

static struct outcome {
	unsigned calls;
	struct probe_result result;
} outcome;

/* What the next children do instead of looking. */
static enum { LOOK, HANG, DIE } child_does;

/* One that is not killed goes on after a while, so that a test fails and does not hang. */
static void hang(int number)
{
	(void)number;
	poll(NULL, 0, HANG_MS);
}

static void trap_open(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = ARRAY_LEN(filter), .filter = filter};

	signal(SIGSYS, hang);
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void in_child(void)
{
	if (child_does == HANG)
		trap_open();
	if (child_does == DIE)
		_exit(3);
}

static void found(void *arg, const struct probe_result *result)
{
	struct outcome *o = arg;

	o->calls++;
	o->result = *result;
	reactor_stop(&reactor);
}

static int set_up(void **state)
{
	(void)state;
	child_does = LOOK;
	outcome = (struct outcome){0};
	temp_init(&temp);
	clock_set_for_test(START_MS);
	fds_before = fds_open();
	return reactor_init(&reactor);
}

/* Nothing is left: no timer, no descriptor, no child. */
static int tear_down(void **state)
{
	(void)state;
	loop_turns(&reactor, 3);
	assert_int_equal(reactor.timers, 0);
	reactor_done(&reactor);
	assert_int_equal(fds_open(), fds_before);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	temp_done(&temp);
	clock_set_for_test(UINT64_MAX);
	return 0;
}

static int reap(void)
{
	int status = -1;

	assert_true(waitpid(-1, &status, 0) > 0);
	return status;
}

/* Having answered it has either ended or was killed on its way out. */
static void reap_answered(void)
{
	int status = reap();

	assert_true(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
}

static struct probe *start(const char *path, bool readonly)
{
	struct probe *p = probe_start(&probes, path, readonly, found, &outcome);

	assert_non_null(p);
	assert_int_equal(outcome.calls, 0);
	return p;
}

static const struct probe_result *probe(const char *path, bool readonly)
{
	outcome = (struct outcome){0};
	start(path, readonly);
	loop_run(&reactor);
	assert_int_equal(outcome.calls, 1);
	reap_answered();
	return &outcome.result;
}

static void make_image(const char *name, mode_t mode)
{
	int fd = open(temp_path(&temp, name), O_WRONLY | O_CREAT | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, IMAGE_BYTES), 0);
	close(fd);
}

static void test_file(void **state)
{
	const struct probe_result *r;
	struct export_facts want;
	struct err err;
	bool readonly = false;
	int fd;

	(void)state;
	make_image("image", 0600);
	fd = export_open(temp.path, &readonly, &want, &err);
	assert_true(fd >= 0);
	close(fd);
	r = probe(temp.path, false);
	assert_int_equal(r->code, 0);
	assert_string_equal(r->text, "");
	assert_int_equal(r->facts.size, IMAGE_BYTES);
	assert_int_equal(r->facts.flags, want.flags);
	assert_false(r->facts.flags & NBD_FLAG_READ_ONLY);
	assert_int_equal(r->facts.block_min, want.block_min);
	assert_int_equal(r->facts.block_preferred, want.block_preferred);
	assert_int_equal(r->facts.block_max, want.block_max);
	r = probe(temp.path, true);
	assert_int_equal(r->code, 0);
	assert_true(r->facts.flags & NBD_FLAG_READ_ONLY);
}

static void test_refused(void **state)
{
	const struct probe_result *r = probe(temp_path(&temp, "none"), false);

	(void)state;
	assert_int_equal(r->code, ENOENT);
	assert_non_null(strstr(r->text, "/none: No such file or directory"));
	r = probe(temp.folder, false);
	assert_int_equal(r->code, EISDIR);
	assert_non_null(strstr(r->text, "is a directory"));
	assert_int_equal(mkfifo(temp_path(&temp, "fifo"), 0600), 0);
	r = probe(temp.path, false);
	assert_int_equal(r->code, EINVAL);
	assert_non_null(strstr(r->text, "neither file nor block device"));
	r = probe(temp_file(&temp, "empty", ""), false);
	assert_int_equal(r->code, EINVAL);
	assert_non_null(strstr(r->text, "size is 0"));
}

static void test_callback_once(void **state)
{
	(void)state;
	make_image("image", 0600);
	probe(temp.path, false);
	for (uint64_t ms = 0; ms <= 2 * PROBE_DEADLINE_MS; ms += PROBE_DEADLINE_MS / 4) {
		clock_set_for_test(START_MS + ms);
		loop_turn(&reactor);
	}
	assert_int_equal(outcome.calls, 1);
	assert_int_equal(outcome.result.code, 0);
}

static void check_killed(void)
{
	int status = reap();

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void test_cancel(void **state)
{
	(void)state;
	child_does = HANG;
	probe_cancel(start("/dev/null", false));
	check_killed();
	clock_set_for_test(START_MS + 2 * PROBE_DEADLINE_MS);
	loop_turns(&reactor, 3);
	assert_int_equal(outcome.calls, 0);
}

/* The answer is there already, but was not delivered. */
static void test_cancel_when_answered(void **state)
{
	struct probe *p = start(temp_path(&temp, "none"), false);

	(void)state;
	assert_int_equal(reap(), 0);
	probe_cancel(p);
	loop_turns(&reactor, 3);
	assert_int_equal(outcome.calls, 0);
}

static void test_deadline(void **state)
{
	(void)state;
	child_does = HANG;
	start("/dev/null", false);
	clock_set_for_test(START_MS + PROBE_DEADLINE_MS - 1);
	loop_turn(&reactor);
	assert_int_equal(outcome.calls, 0);
	clock_set_for_test(START_MS + PROBE_DEADLINE_MS);
	loop_turn(&reactor);
	assert_int_equal(outcome.calls, 1);
	assert_int_equal(outcome.result.code, ETIMEDOUT);
	assert_string_equal(outcome.result.text, "the image does not answer");
	check_killed();
}

/* Whoever waits is told, once; one that has its answer is not told again. */
static void test_end_all(void **state)
{
	struct outcome each[3] = {0};

	(void)state;
	probe_end_all(&probes);
	assert_non_null(probe_start(&probes, "/no/such/file", false, found, &each[0]));
	loop_run(&reactor);
	reap_answered();
	child_does = HANG;
	for (int i = 1; i < 3; i++)
		assert_non_null(probe_start(&probes, "/dev/null", false, found, &each[i]));
	probe_end_all(&probes);
	assert_int_equal(each[0].result.code, ENOENT);
	for (int i = 0; i < 3; i++)
		assert_int_equal(each[i].calls, 1);
	for (int i = 1; i < 3; i++) {
		assert_int_equal(each[i].result.code, ECANCELED);
		assert_non_null(strstr(each[i].result.text, "shutting down"));
		check_killed();
	}
	probe_end_all(&probes);
	assert_null(probes.first);
}

/* Each has its own answer, and the others still have theirs when one is cancelled. */
static void test_several(void **state)
{
	struct outcome each[4] = {0};
	struct probe *p[4];

	(void)state;
	make_image("image", 0600);
	for (int i = 0; i < 4; i++) {
		child_does = i == 1 ? HANG : LOOK;
		p[i] = probe_start(
			&probes, i % 2 ? temp.path : temp.folder, i == 3, found, &each[i]);
		assert_non_null(p[i]);
	}
	probe_cancel(p[1]);
	while (each[0].calls + each[2].calls + each[3].calls < 3)
		loop_run(&reactor);
	assert_int_equal(each[1].calls, 0);
	assert_int_equal(each[0].result.code, EISDIR);
	assert_int_equal(each[2].result.code, EISDIR);
	assert_int_equal(each[3].result.code, 0);
	assert_true(each[3].result.facts.flags & NBD_FLAG_READ_ONLY);
	for (int i = 0; i < 4; i++)
		reap_answered();
	assert_null(probes.first);
}

/* Killed by someone, out of memory: not an answer, but not silence either. */
static void test_child_dies(void **state)
{
	(void)state;
	child_does = DIE;
	start("/dev/null", false);
	loop_run(&reactor);
	assert_int_equal(outcome.calls, 1);
	assert_int_equal(outcome.result.code, EIO);
	assert_string_equal(outcome.result.text, "the image could not be looked at");
	assert_int_equal(WEXITSTATUS(reap()), 3);
}

/* A child that hangs for ever must keep none of ours open: here the write end of a pipe. */
static void test_child_closes_what_is_ours(void **state)
{
	struct pollfd ended = {.events = POLLIN};
	struct probe *p;
	int ours[2];

	(void)state;
	assert_int_equal(pipe2(ours, O_CLOEXEC), 0);
	child_does = HANG;
	p = start("/dev/null", false);
	close(ours[1]);
	ended.fd = ours[0];
	assert_int_equal(poll(&ended, 1, HANG_MS / 2), 1);
	assert_true(ended.revents & POLLHUP);
	close(ours[0]);
	probe_cancel(p);
	check_killed();
}

static void test_no_descriptors(void **state)
{
	struct rlimit old, none;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_null(probe_start(&probes, "/dev/null", false, found, &outcome));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(outcome.calls, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_file),
		TEST(test_refused),
		TEST(test_callback_once),
		TEST(test_cancel),
		TEST(test_cancel_when_answered),
		TEST(test_deadline),
		TEST(test_end_all),
		TEST(test_several),
		TEST(test_child_dies),
		TEST(test_child_closes_what_is_ours),
		TEST(test_no_descriptors),
	};

	pthread_atfork(NULL, NULL, in_child);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
