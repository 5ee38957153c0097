/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See child.h. */
#include "child.h"

#include "check.h"

#include <sys/wait.h>
#include <unistd.h>

int child_run(void (*fn)(void))
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (pid == 0) {
		fn();
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
