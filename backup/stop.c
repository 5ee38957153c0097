/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reasons to end; see stop.h. The node's state is asked by a child that is looked at now and then,
 * so that a cluster manager that answers slowly holds up neither the copy nor its end. Only an
 * answer "no" ends a run: one that fails to come says nothing, and the next one is waited for.
 */
#include "stop.h"

#include "clock.h"
#include "log.h"
#include "proc.h"
#include "util.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MINUTE_MS = 60 * 1000, EXIT_NOT_RUN = 126, HOST_ROOM = 65 };

int stop_init(struct stop *s, uint64_t minutes, const char *active_if, struct err *err)
{
	uint64_t now = clock_ms();
	sigset_t set;

	*s = (struct stop){.until = minutes ? now + minutes * MINUTE_MS : 0,
		.active_if = active_if,
		.next = now + STOP_CHECK_MS};
	child_init(&s->check);
	proc_block_ends(&set);
	signal(SIGPIPE, SIG_IGN);
	s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->fd < 0 ? err_sys(err, errno, "signalfd") : 0;
}

void stop_done(struct stop *s)
{
	child_kill(&s->check);
	child_done(&s->check);
	fd_close(&s->fd);
}

void stop_now(struct stop *s, const char *why)
{
	if (s->is_due)
		return;
	s->is_due = true;
	snprintf(s->why, sizeof(s->why), "%s", why);
}

/* Who reads that is on the other node by now, as a rule. */
void stop_inactive(struct stop *s)
{
	char host[HOST_ROOM] = "this node", why[sizeof(s->why)];

	gethostname(host, sizeof(host) - 1);
	snprintf(why, sizeof(why), "%s is not active any more", host);
	stop_now(s, why);
}

static void start_check(struct stop *s, uint64_t now)
{
	const char *const words[] = {"/bin/sh", "-c", s->active_if, NULL};
	struct err err = {0};

	s->next = now + STOP_CHECK_MS;
	if (child_start(&s->check, words, NULL, &err) < 0)
		log_warn("active-if: %s", err.text);
}

static void look_at_check(struct stop *s, uint64_t now)
{
	if (child_poll(&s->check)) {
		int status = s->check.status;

		child_done(&s->check);
		if (WIFEXITED(status) && WEXITSTATUS(status) != 0 &&
			WEXITSTATUS(status) < EXIT_NOT_RUN)
			stop_inactive(s);
	} else if (now - s->check.began > STOP_CHECK_LIMIT_MS) {
		log_warn("active-if: did not end within %d s", STOP_CHECK_LIMIT_MS / 1000);
		child_kill(&s->check);
		child_done(&s->check);
	}
}

bool stop_due(struct stop *s)
{
	struct signalfd_siginfo info;
	uint64_t now = clock_ms();

	if (s->is_due)
		return true;
	if (read(s->fd, &info, sizeof(info)) == sizeof(info)) {
		s->is_due = true;
		snprintf(s->why, sizeof(s->why), "signal %u", info.ssi_signo);
	} else if (s->until && now >= s->until) {
		s->is_due = s->is_late = true;
		snprintf(s->why, sizeof(s->why), "the time limit of the run is over");
	} else if (s->check.pid > 0) {
		look_at_check(s, now);
	} else if (s->active_if && now >= s->next) {
		start_check(s, now);
	}
	return s->is_due;
}
