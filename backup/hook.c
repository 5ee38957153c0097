/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands of the administrator; see hook.h. What they print is told only when they fail, and then
 * the last line of it. Called between the steps of a run, never while something is frozen. */
#include "hook.h"

#include "child.h"
#include "stop.h"
#include "util.h"

#include <errno.h>
#include <sys/wait.h>

enum { ACTIVE_SECONDS = 10, EXIT_NOT_RUN = 126 };

static int run(struct child *c, const char *command, uint64_t seconds, struct stop *stop,
	const char *input, size_t len, struct err *err)
{
	const char *const words[] = {"/bin/sh", "-c", command, NULL};
	const struct child_rules rules = {.stop = stop, .timeout_ms = seconds * 1000};
	const struct child_input in = {.text = input, .len = len};
	int r = child_start(c, words, &in, err);

	return r < 0 ? r : child_wait(c, &rules, err);
}

int hook_run(const char *what, const char *command, uint64_t seconds, struct stop *stop,
	const char *input, size_t len, struct err *err)
{
	struct err why = {0};
	struct child c;
	int r;

	child_init(&c);
	r = run(&c, command, seconds, stop, input, len, &why);
	if (r < 0)
		err_set(err, -r, "%s: %s", what, why.text);
	else
		r = child_judge(&c, what, err);
	child_done(&c);
	return r;
}

int hook_is_active(const char *command, struct stop *stop, struct err *err)
{
	struct err why = {0};
	struct child c;
	int r;

	child_init(&c);
	r = run(&c, command, ACTIVE_SECONDS, stop, NULL, 0, &why);
	if (r < 0)
		err_set(err, -r, "active-if: %s", why.text);
	else if (WIFEXITED(c.status) && WEXITSTATUS(c.status) < EXIT_NOT_RUN)
		r = WEXITSTATUS(c.status) == 0;
	else /* the shell's words for: no such command, not to be run */
		r = child_judge(&c, "active-if", err);
	child_done(&c);
	return r;
}

bool hook_is_lost(struct stop *stop)
{
	struct err err = {0};

	if (!stop_due(stop) && stop->active_if && hook_is_active(stop->active_if, stop, &err) == 0)
		stop_inactive(stop);
	return stop_due(stop);
}
