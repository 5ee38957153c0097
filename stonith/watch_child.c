/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starts the copy, reads its one answer from a pipe, and ends it if it is late. It is waited for
 * when there is time, as it may hang in a disk; nothing here waits.
 */
#include "watch_child.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { GRACE_MS = 5000, FIRST_FD = 3 };

_Static_assert(sizeof(struct watch_child_answer) <= PIPE_BUF, "an answer is written at once");

/* In the copy. */

static int carry_out(const struct shoot_order *o, struct watch_child_answer *a)
{
	static struct shoot_result result;
	static struct reactor reactor;
	struct err err = {0};
	int ret = reactor_init(&reactor);

	if (ret < 0)
		return ret;
	ret = shoot(o, &reactor, &result, &err);
	a->power = fence_power(&result.fence);
	snprintf(a->text, sizeof(a->text), "%s", ret < 0 ? err.text : result.text);
	return ret;
}

static void leave_parent(int fd, pid_t parent)
{
	sigset_t none;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(EXIT_FAILURE);
	if (fd != FIRST_FD && dup3(fd, FIRST_FD, O_CLOEXEC) < 0)
		_exit(EXIT_FAILURE);
	close_range(FIRST_FD + 1, ~0U, 0);
	sigemptyset(&none);
	for (int i = 1; i < SIGRTMIN; i++)
		signal(i, i == SIGPIPE ? SIG_IGN : SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void __attribute__((noreturn)) run(int fd, pid_t parent, const struct shoot_order *o)
{
	struct watch_child_answer a = {.power = FENCE_POWER_UNKNOWN};

	leave_parent(fd, parent);
	a.ret = carry_out(o, &a);
	_exit(write(FIRST_FD, &a, sizeof(a)) == sizeof(a) ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* In the daemon. */

/* True: there is none any more. */
static bool reap(struct watch_child *c)
{
	if (c->pid && waitpid(c->pid, NULL, WNOHANG) != 0)
		c->pid = 0;
	return c->pid == 0;
}

static void end(struct watch_child *c)
{
	if (!c->running)
		return;
	c->running = false;
	reactor_timer_cancel(c->reactor, &c->late);
	reactor_remove(c->reactor, &c->watch);
	fd_close(&c->watch.fd);
	kill(c->pid, SIGKILL);
	reap(c);
}

static void fail(struct watch_child *c, int code, const char *why)
{
	struct watch_child_answer a = {.ret = -code, .power = FENCE_POWER_UNKNOWN};

	snprintf(a.text, sizeof(a.text), "%s", why);
	end(c);
	c->done(c, &a);
}

static void on_answer(struct reactor_watch *w, uint32_t events)
{
	struct watch_child *c = container_of(w, struct watch_child, watch);
	struct watch_child_answer a;

	(void)events;
	if (read(w->fd, &a, sizeof(a)) != sizeof(a)) {
		fail(c, EIO, "the process for it has ended without an answer");
		return;
	}
	end(c);
	c->done(c, &a);
}

static void on_late(struct reactor_timer *t)
{
	fail(container_of(t, struct watch_child, late), ETIMEDOUT,
		"the process for it was late and has been killed");
}

void watch_child_init(struct watch_child *c, struct reactor *r,
	void (*done)(struct watch_child *c, const struct watch_child_answer *a))
{
	*c = (struct watch_child){.reactor = r, .watch.fd = -1, .late.fn = on_late, .done = done};
}

void watch_child_done(struct watch_child *c)
{
	end(c);
	reap(c);
}

static int follow(struct watch_child *c, int fd, uint64_t ms)
{
	int ret = reactor_add(c->reactor, &c->watch, fd, EPOLLIN, on_answer);

	if (ret < 0) {
		close(fd);
		return ret;
	}
	c->running = true;
	reactor_timer_set(c->reactor, &c->late, ms);
	return 0;
}

int watch_child_start(struct watch_child *c, const struct shoot_order *o)
{
	pid_t parent = getpid(), pid;
	int fds[2], ret;

	if (c->running || !reap(c))
		return -EBUSY;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		run(fds[1], parent, o);
	ret = pid < 0 ? -errno : 0;
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return ret;
	}
	c->pid = pid;
	ret = follow(c, fds[0], o->victim->deadline * 1000 + GRACE_MS);
	if (ret < 0)
		kill(pid, SIGKILL);
	return ret;
}
