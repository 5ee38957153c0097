/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Process start-up and signals; see proc.h. */
#include "proc.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <linux/close_range.h>

enum { NOFILE_GOAL = 1000000, SPAWN_FDS_MAX = 16, HIGH_FD = 64 };

static int ready_fd = -1; /* write end towards the waiting original process */

/* In the child: puts FDS at 3, 4, ... by way of numbers above all of them. */
static int place_fds(const int *fds, size_t count)
{
	int high[SPAWN_FDS_MAX];

	for (size_t i = 0; i < count; i++) {
		high[i] = fcntl(fds[i], F_DUPFD, HIGH_FD);
		if (high[i] < 0)
			return -1;
	}
	for (size_t i = 0; i < count; i++) {
		if (dup2(high[i], PROC_FIRST_FD + (int)i) < 0)
			return -1;
	}
	return close_range(PROC_FIRST_FD + (unsigned)count, ~0U, 0);
}

bool proc_is_ignored(int number)
{
	struct sigaction now;

	return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

void proc_block_ends(sigset_t *ret_set)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP};

	sigemptyset(ret_set);
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		if (!proc_is_ignored(ends[i]))
			sigaddset(ret_set, ends[i]);
	}
	sigprocmask(SIG_BLOCK, ret_set, NULL);
}

static void default_signals(void)
{
	sigset_t none;

	for (int i = 1; i < NSIG; i++) {
		if (i != SIGHUP || !proc_is_ignored(i))
			signal(i, SIG_DFL);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

void proc_fill_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	fd_close(&fd);
}

static void null_stdio(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = 0; null >= 0 && i < 3; i++)
		dup2(null, i);
	fd_close(&null);
}

pid_t proc_spawn(char *const argv[], const int *fds, size_t count, bool dies_with_parent)
{
	pid_t parent = getpid(), pid;

	if (count > SPAWN_FDS_MAX)
		return -EINVAL;
	pid = fork();
	if (pid != 0)
		return pid < 0 ? -errno : pid;
	if (dies_with_parent && (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent))
		_exit(127);
	default_signals();
	if (ready_fd >= 0)
		null_stdio(); /* a daemon about to be ready: the caller may wait for the end of its
				 pipes */
	if (place_fds(fds, count) == 0)
		execvp(argv[0], argv);
	_exit(127);
}

/* The original process: exits as soon as the fate of the background one is known. */
static void wait_for_child(pid_t pid, int fd)
{
	char c;
	int status;

	if (read(fd, &c, 1) == 1)
		_exit(0);
	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	_exit(1);
}

int proc_daemonize(struct err *err)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(err, errno, "pipe");
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return err_sys(err, errno, "fork");
	if (pid > 0) {
		close(fds[1]);
		wait_for_child(pid, fds[0]);
	}
	close(fds[0]);
	ready_fd = fds[1];
	setsid();
	return 0;
}

void proc_ready(void)
{
	if (ready_fd < 0)
		return;
	null_stdio();
	if (chdir("/") < 0 || write(ready_fd, "1", 1) < 0)
		fprintf(stderr, "background: %s\n", strerror(errno));
	fd_close(&ready_fd);
}

void proc_raise_nofile(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
		return;
	if (lim.rlim_max < NOFILE_GOAL && geteuid() == 0) {
		struct rlimit more = {NOFILE_GOAL, NOFILE_GOAL};

		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			return;
	}
	lim.rlim_cur = MIN_OF(lim.rlim_max, (rlim_t)NOFILE_GOAL);
	setrlimit(RLIMIT_NOFILE, &lim);
}

void proc_sibling(const char *name, char *out, size_t room)
{
	char self[PATH_MAX], *slash;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0) {
		self[n] = 0;
		slash = strrchr(self, '/');
		if (slash &&
			snprintf(out, room, "%.*s/%s", (int)(slash - self), self, name) <
				(int)room &&
			access(out, X_OK) == 0)
			return;
	}
	snprintf(out, room, "%s", name);
}

static void signal_ready(struct reactor_watch *w, uint32_t events)
{
	struct proc_signals *s = container_of(w, struct proc_signals, watch);
	struct signalfd_siginfo info;

	(void)events;
	while (s->fd >= 0 && read(s->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		s->fn(s, (int)info.ssi_signo);
}

static sigset_t set_of(const int *list)
{
	sigset_t set;

	sigemptyset(&set);
	for (; *list; list++)
		sigaddset(&set, *list);
	return set;
}

void proc_signals_hold(const int *list)
{
	sigset_t set = set_of(list);

	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int proc_signals_init(struct proc_signals *s, struct reactor *r, const int *list,
	void (*fn)(struct proc_signals *, int))
{
	sigset_t set = set_of(list);
	int ret;

	signal(SIGPIPE, SIG_IGN);
	proc_signals_hold(list);
	*s = (struct proc_signals){.reactor = r, .fn = fn};
	s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->fd < 0)
		return -errno;
	ret = reactor_add(r, &s->watch, s->fd, EPOLLIN, signal_ready);
	if (ret < 0)
		fd_close(&s->fd);
	return ret;
}

void proc_signals_done(struct proc_signals *s)
{
	if (s->fd < 0)
		return;
	reactor_remove(s->reactor, &s->watch);
	fd_close(&s->fd);
}
