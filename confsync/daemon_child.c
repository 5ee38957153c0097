/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starts the copy, hands on its reports, and kills it if it is late. The pipe is read to its end
 * before the end of the process is told. A transaction that a kill interrupts is gone on with by
 * whoever takes the set's lock next.
 */
#include "daemon_child.h"

#include "log.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { FIRST_FD = 3 };

/* In the copy. */

static void leave_parent(int fd, pid_t parent)
{
	bool journal = !log_on_stderr();
	sigset_t none;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(EXIT_FAILURE);
	setpgid(0, 0); /* signals of the terminal are for the daemon */
	if (fd != FIRST_FD && dup3(fd, FIRST_FD, O_CLOEXEC) < 0)
		_exit(EXIT_FAILURE);
	close_range(FIRST_FD + 1, ~0U, 0);
	if (journal)
		log_to_journal(NULL, NULL); /* its socket was closed, too */
	sigemptyset(&none);
	for (int i = 1; i < SIGRTMIN; i++)
		signal(i, i == SIGPIPE ? SIG_IGN : SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void __attribute__((noreturn))
run(int fd, pid_t parent, const struct config *c, const struct schedule_job *job)
{
	leave_parent(fd, parent);
	_exit(daemon_work(c, job, FIRST_FD) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* In the daemon. */

static void read_reports(struct daemon_child *c)
{
	struct daemon_report r;

	while (read(c->reports.fd, &r, sizeof(r)) == sizeof(r)) {
		r.text[sizeof(r.text) - 1] = 0;
		c->report(c, &r);
	}
}

static void on_reports(struct reactor_watch *w, uint32_t events)
{
	struct daemon_child *c = container_of(w, struct daemon_child, reports);

	read_reports(c);
	if (events & EPOLLHUP) /* the rest is the end's */
		reactor_remove(c->reactor, w);
}

static void drop(struct daemon_child *c)
{
	reactor_timer_cancel(c->reactor, &c->late);
	reactor_remove(c->reactor, &c->reports);
	reactor_remove(c->reactor, &c->end);
	fd_close(&c->reports.fd);
	fd_close(&c->end.fd);
	c->pid = 0;
}

static const char *judge(const struct daemon_child *c, int status, char *text, size_t room)
{
	if (c->killed)
		snprintf(text, room, "the process for it was late (%llu s) and has been killed",
			(unsigned long long)c->deadline / 1000);
	else if (WIFSIGNALED(status))
		snprintf(text, room, "the process for it was ended by signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		snprintf(text, room, "the process for it has failed (no memory?)");
	else
		return NULL;
	return text;
}

static void on_end(struct reactor_watch *w, uint32_t events)
{
	struct daemon_child *c = container_of(w, struct daemon_child, end);
	char text[80];
	int status = 0;

	(void)events;
	if (waitpid(c->pid, &status, WNOHANG) == 0)
		return;
	read_reports(c);
	drop(c);
	c->over(c, judge(c, status, text, sizeof(text)));
}

static void on_late(struct reactor_timer *t)
{
	struct daemon_child *c = container_of(t, struct daemon_child, late);

	c->killed = true;
	kill(c->pid, SIGKILL);
}

void daemon_child_init(struct daemon_child *c, struct reactor *r,
	void (*report)(struct daemon_child *c, const struct daemon_report *r),
	void (*over)(struct daemon_child *c, const char *why))
{
	*c = (struct daemon_child){.reactor = r,
		.reports.fd = -1,
		.end.fd = -1,
		.late.fn = on_late,
		.report = report,
		.over = over};
}

void daemon_child_done(struct daemon_child *c)
{
	pid_t pid = c->pid;

	if (!pid)
		return;
	drop(c);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, WNOHANG); /* it may hang in a disk */
}

static int follow(struct daemon_child *c, int fd)
{
	int pidfd = pidfd_open(c->pid, PIDFD_NONBLOCK), r = pidfd < 0 ? -errno : 0;

	if (r == 0) {
		r = reactor_add(c->reactor, &c->end, pidfd, EPOLLIN, on_end);
		c->end.fd = pidfd;
	}
	if (r == 0)
		r = reactor_add(c->reactor, &c->reports, fd, EPOLLIN, on_reports);
	c->reports.fd = fd;
	if (r == 0)
		r = reactor_timer_set(c->reactor, &c->late, c->deadline);
	return r;
}

int daemon_child_start(
	struct daemon_child *c, const struct config *config, const struct schedule_job *job)
{
	pid_t parent = getpid();
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	c->pid = fork();
	if (c->pid == 0)
		run(fds[1], parent, config, job);
	r = c->pid < 0 ? -errno : 0;
	close(fds[1]);
	if (r < 0) {
		c->pid = 0;
		close(fds[0]);
		return r;
	}
	c->killed = false;
	c->deadline = daemon_work_deadline(config, job);
	fcntl(fds[0], F_SETFL, O_NONBLOCK); /* the other end waits */
	r = follow(c, fds[0]);
	if (r < 0)
		daemon_child_done(c);
	return r;
}

bool daemon_child_is_running(const struct daemon_child *c)
{
	return c->pid != 0;
}

void daemon_child_hurry(struct daemon_child *c, uint64_t ms)
{
	if (c->pid && !c->killed && c->late.at > c->reactor->now + ms) {
		c->deadline = ms;
		reactor_timer_set(c->reactor, &c->late, ms);
	}
}
