/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Freezing and its guard; see freeze.h. The guard is deaf to signals that end us, holds none of our
 * descriptors (the lock of the run is one), and does one thing. Its time is a little longer than
 * ours, so that as a rule a `freeze` that hangs is killed before it is thawed: the other way round
 * it might freeze afterwards.
 */
#include "freeze.h"

#include "clock.h"
#include "hook.h"
#include "log.h"
#include "stop.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include <linux/close_range.h>

enum {
	MORE_MS = 2000,    /* the guard's time above ours */
	ORPHAN_MS = 1000,  /* for a freeze command that our end has ended, too */
	THAW_SECONDS = 10, /* for each attempt */
	ATTEMPTS = 3,
	BETWEEN_MS = 1000,
};

enum { EXIT_THAWED = 0, EXIT_NOT_THAWED = 1, EXIT_LATE = 2 };

/* The guard. */

static int thaw(const char *command)
{
	for (int i = 0; i < ATTEMPTS; i++) {
		if (i > 0)
			poll(NULL, 0, BETWEEN_MS);
		if (hook_run("thaw", command, THAW_SECONDS, NULL, NULL, 0, &(struct err){0}) == 0)
			return EXIT_THAWED;
	}
	return EXIT_NOT_THAWED;
}

static _Noreturn void guard(int fd, const struct config_volume *v)
{
	struct pollfd p = {.fd = STDERR_FILENO + 1, .events = POLLIN};
	char told;
	int ready, status;

	setsid();
	for (int i = 1; i < NSIG; i++)
		signal(i, i == SIGCHLD ? SIG_DFL : SIG_IGN);
	if (dup2(fd, p.fd) < 0 || fcntl(p.fd, F_SETFD, FD_CLOEXEC) < 0 ||
		close_range((unsigned)p.fd + 1, ~0U, 0) < 0)
		_exit(EXIT_NOT_THAWED);
	ready = poll(&p, 1, (int)(v->freeze_timeout * 1000) + MORE_MS);
	if (ready > 0 && read(p.fd, &told, 1) != 1)
		poll(NULL, 0, ORPHAN_MS);
	status = thaw(v->thaw);
	_exit(status == EXIT_THAWED && ready <= 0 ? EXIT_LATE : status);
}

static int start_guard(struct freeze *f, const struct config_volume *v, struct err *err)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(err, errno, "pipe");
	f->guard = fork();
	if (f->guard == 0) {
		close(fds[1]);
		guard(fds[0], v);
	}
	close(fds[0]);
	f->fd = fds[1];
	if (f->guard > 0)
		return 0;
	f->guard = 0;
	err_sys(err, errno, "fork");
	fd_close(&f->fd);
	return -err->code;
}

/* Our side. */

int freeze_begin(
	struct freeze *f, const struct config_volume *v, struct stop *stop, struct err *err)
{
	struct err other = {0};
	int r;

	*f = (struct freeze){.fd = -1, .stop = stop};
	if (!v->freeze)
		return 0;
	f->until = clock_ms() + v->freeze_timeout * 1000;
	r = start_guard(f, v, err);
	if (r < 0)
		return r;
	r = hook_run("freeze", v->freeze, v->freeze_timeout, stop, NULL, 0, err);
	if (r == -ECANCELED)
		freeze_leave(f);
	else if (r < 0 && freeze_end(f, &other) == -EREMOTEIO)
		log_error("%s: %s", v->name, other.text);
	return r;
}

bool freeze_is_on(const struct freeze *f)
{
	return f->guard > 0;
}

bool freeze_is_late(const struct freeze *f)
{
	return freeze_is_on(f) && clock_ms() >= f->until;
}

/* If that fails it has ended, and says how. */
static void tell_guard(struct freeze *f)
{
	if (write(f->fd, "t", 1) != 1)
		errno = 0;
	fd_close(&f->fd);
}

void freeze_leave(struct freeze *f)
{
	if (!freeze_is_on(f))
		return;
	tell_guard(f);
	f->guard = 0;
}

/* True: the guard has ended. It may need half a minute, which a run that is to end has not. */
static bool wait_for_guard(const struct freeze *f, int *status)
{
	CLEANUP_FD int fd = pidfd_open(f->guard, 0);
	struct pollfd fds[2] = {
		{.fd = fd, .events = POLLIN}, {.fd = f->stop->fd, .events = POLLIN}};

	while (waitpid(f->guard, status, WNOHANG) == 0) {
		if (stop_due(f->stop))
			return false;
		poll(fds, ARRAY_LEN(fds), CHILD_TICK_MS);
	}
	return true;
}

int freeze_end(struct freeze *f, struct err *err)
{
	int status = 0;
	bool has_ended;

	if (!freeze_is_on(f))
		return 0;
	tell_guard(f);
	has_ended = wait_for_guard(f, &status);
	f->guard = 0;
	if (!has_ended)
		return err_set(err, ECANCELED, "%s", f->stop->why);
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_THAWED)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_LATE)
		return err_set(err, ETIMEDOUT,
			"freeze: took too long, and was thawed before the "
			"snapshot was made");
	return err_set(err, EREMOTEIO,
		"thaw: failed %d times: what uses the volume may still be held", ATTEMPTS);
}
