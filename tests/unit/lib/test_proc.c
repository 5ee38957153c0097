/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting programs: which descriptors they get and that they get no other, signals as new, what
 * a missing program looks like; the background; signals as events. The program started is this
 * one, with an argument.
 */
#include "check.h"
#include "loop.h"
#include "proc.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

static int status_of(pid_t pid)
{
	int status = -1;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* In the started program: descriptors 3 ... say their number, and there is no other. */
static int child_descriptors(int count)
{
	for (int fd = 3; fd < 3 + count; fd++) {
		char byte = 0;

		if (read(fd, &byte, 1) != 1 || byte != '0' + fd)
			return 10 + fd;
		if (fcntl(fd, F_GETFD) != 0)
			return 50 + fd;
	}
	for (int fd = 3 + count; fd < 1024; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			return 100;
	}
	return 0;
}

static int child_signals(void)
{
	struct sigaction sa;
	sigset_t set;

	if (sigprocmask(SIG_SETMASK, NULL, &set) < 0 || !sigisemptyset(&set))
		return 1;
	for (int i = 1; i < 32; i++) {
		if (sigaction(i, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN)
			return 100 + i;
	}
	return 0;
}

static int child(const char *what)
{
	int death = 0;

	if (strcmp(what, "signals") == 0)
		return child_signals();
	if (strcmp(what, "death") == 0)
		return prctl(PR_GET_PDEATHSIG, &death) == 0 ? death : 1;
	return child_descriptors(atoi(what));
}

static pid_t spawn(const char *what, const int *fds, size_t count, bool dies)
{
	char self[] = "/proc/self/exe", argument[32];
	char *argv[] = {self, argument, NULL};

	snprintf(argument, sizeof(argument), "%s", what);
	return proc_spawn(argv, fds, count, dies);
}

/* A pipe with one byte in it; its write end is closed. */
static int pipe_with(char byte)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], &byte, 1), 1);
	close(fds[1]);
	return fds[0];
}

/* None, some, or all of the streams are closed: what comes next is none of them. */
static void test_fill_streams(void **state)
{
	(void)state;
	for (int closed = 0; closed < 8; closed++) {
		pid_t pid = fork();

		if (pid == 0) {
			for (int i = 0; i < 3; i++) {
				if (closed & 1 << i)
					close(i);
			}
			proc_fill_streams();
			for (int i = 0; i < 3; i++) {
				if (fcntl(i, F_GETFD) < 0)
					_exit(1);
			}
			_exit(open("/dev/null", O_RDONLY) > STDERR_FILENO ? 0 : 2);
		}
		assert_int_equal(status_of(pid), 0);
	}
}

/* Handed over in every order, so that each may lie where another has to go. */
static void test_descriptors(void **state)
{
	static const int orders[][3] = {
		{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	int stray = open("/dev/null", O_RDONLY); /* not even CLOEXEC */

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
		int slots[3], fds[3];

		for (int k = 0; k < 3; k++)
			slots[k] = pipe_with((char)('3' + orders[i][k]));
		for (int k = 0; k < 3; k++)
			fds[orders[i][k]] = slots[k];
		assert_int_equal(status_of(spawn("3", fds, 3, false)), 0);
		for (int k = 0; k < 3; k++)
			close(slots[k]);
	}
	assert_int_equal(status_of(spawn("0", NULL, 0, false)), 0);
	close(stray);
}

static void test_one_descriptor_many_times(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), fds[17];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = fd;
	assert_int_equal(status_of(spawn("signals", fds, 16, false)), 0);
	assert_int_equal(spawn("signals", fds, 17, false), -EINVAL);
	close(fd);
}

static void test_program_is_missing(void **state)
{
	char name[] = "/nonexistent/program";
	char *argv[] = {name, NULL};
	int bad = 1 << 20;

	(void)state;
	assert_int_equal(status_of(proc_spawn(argv, NULL, 0, false)), 127);
	assert_int_equal(status_of(spawn("0", &bad, 1, false)), 127);
}

static void test_signals_are_as_new(void **state)
{
	sigset_t set, old;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &old);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	assert_int_equal(status_of(spawn("signals", NULL, 0, false)), 0);
	signal(SIGHUP, SIG_IGN); /* nohup(1) means children as well */
	assert_int_equal(status_of(spawn("signals", NULL, 0, false)), 100 + SIGHUP);
	sigprocmask(SIG_SETMASK, &old, NULL);
	signal(SIGUSR2, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
}

static void test_dies_with_parent(void **state)
{
	(void)state;
	assert_int_equal(status_of(spawn("death", NULL, 0, true)), SIGTERM);
	assert_int_equal(status_of(spawn("death", NULL, 0, false)), 0);
}

static void test_sibling(void **state)
{
	char path[512];

	(void)state;
	proc_sibling("test_proc", path, sizeof(path));
	assert_int_equal(*path, '/');
	assert_int_equal(access(path, X_OK), 0);
	proc_sibling("no-such-program", path, sizeof(path));
	assert_string_equal(path, "no-such-program");
	proc_sibling("test_proc", path, 9); /* the path does not fit */
	assert_string_equal(path, "test_pro");
}

static void test_nofile(void **state)
{
	struct rlimit before, after;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	proc_raise_nofile();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
	assert_true(after.rlim_cur >= before.rlim_cur || after.rlim_cur == 1000000);
	assert_true(after.rlim_cur == after.rlim_max || after.rlim_cur == 1000000);
	setrlimit(RLIMIT_NOFILE, &before);
}

/* The background. PIPE tells the test that the daemon still lives. */

static void daemon_body(int pipe_fd, bool succeed)
{
	CHECK(proc_daemonize(NULL) == 0);
	if (!succeed)
		_exit(3);
	CHECK(getsid(0) == getpid());
	proc_ready();
	proc_ready(); /* no-op */
	CHECK(write(STDOUT_FILENO, "lost", 4) == 4);
	if (write(pipe_fd, "d", 1) != 1)
		_exit(1);
	_exit(0);
}

static int run_daemon(bool succeed, char *ret_byte)
{
	int fds[2], status;
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0)
		daemon_body(fds[1], succeed);
	close(fds[1]);
	status = status_of(pid);
	*ret_byte = 0;
	if (read(fds[0], ret_byte, 1) < 0) /* waits for the daemon's end */
		*ret_byte = '?';
	close(fds[0]);
	return status;
}

static void test_background(void **state)
{
	char byte;

	(void)state;
	assert_int_equal(run_daemon(true, &byte), 0);
	assert_int_equal(byte, 'd');
	assert_int_equal(run_daemon(false, &byte), 3); /* dies before it is ready */
	assert_int_equal(byte, 0);
	proc_ready(); /* not in the background: nothing happens */
	assert_true(fcntl(STDOUT_FILENO, F_GETFD) >= 0);
}

/* Signals as events. */

static struct reactor reactor;
static int seen[8];
static unsigned seen_count;

static void on_signal(struct proc_signals *s, int number)
{
	(void)s;
	seen[seen_count++ % 8] = number;
}

static void on_signal_done(struct proc_signals *s, int number)
{
	on_signal(s, number);
	proc_signals_done(s);
}

static void test_signals(void **state)
{
	static const int list[] = {SIGUSR1, SIGHUP, 0};
	struct proc_signals s;
	int fds[2];

	(void)state;
	seen_count = 0;
	assert_int_equal(reactor_init(&reactor), 0);
	assert_int_equal(proc_signals_init(&s, &reactor, list, on_signal), 0);
	loop_turn(&reactor);
	assert_int_equal(seen_count, 0);
	kill(getpid(), SIGHUP);
	kill(getpid(), SIGUSR1);
	loop_turn(&reactor);
	assert_int_equal(seen_count, 2);
	assert_int_equal(seen[0] + seen[1], SIGHUP + SIGUSR1);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0); /* SIGPIPE is ignored now */
	close(fds[0]);
	assert_int_equal(write(fds[1], "x", 1), -1);
	assert_int_equal(errno, EPIPE);
	close(fds[1]);
	proc_signals_done(&s);
	proc_signals_done(&s);
	reactor_done(&reactor);
}

static void test_signals_that_came_before(void **state)
{
	static const int list[] = {SIGUSR1, SIGHUP, 0};
	struct proc_signals s;

	(void)state;
	seen_count = 0;
	proc_signals_hold(list);
	kill(getpid(), SIGUSR1);
	assert_int_equal(reactor_init(&reactor), 0);
	assert_int_equal(proc_signals_init(&s, &reactor, list, on_signal), 0);
	loop_turn(&reactor);
	assert_int_equal(seen_count, 1);
	assert_int_equal(seen[0], SIGUSR1);
	proc_signals_done(&s);
	reactor_done(&reactor);
}

static void test_signals_done_inside(void **state)
{
	static const int list[] = {SIGUSR1, SIGUSR2, 0};
	struct proc_signals s;
	sigset_t pending;

	(void)state;
	seen_count = 0;
	assert_int_equal(reactor_init(&reactor), 0);
	assert_int_equal(proc_signals_init(&s, &reactor, list, on_signal_done), 0);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR2);
	loop_turns(&reactor, 2);
	assert_int_equal(seen_count, 1);
	sigpending(&pending); /* the other one is still there, and still blocked */
	assert_true(sigismember(&pending, SIGUSR1) || sigismember(&pending, SIGUSR2));
	reactor_done(&reactor);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fill_streams),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_one_descriptor_many_times),
		cmocka_unit_test(test_program_is_missing),
		cmocka_unit_test(test_signals_are_as_new),
		cmocka_unit_test(test_dies_with_parent),
		cmocka_unit_test(test_sibling),
		cmocka_unit_test(test_nofile),
		cmocka_unit_test(test_background),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_signals_that_came_before),
		cmocka_unit_test(test_signals_done_inside),
	};

	if (argc > 1)
		return child(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
