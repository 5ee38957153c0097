/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The variables of sd_listen_fds(3), and a process they are meant for. */
#include "activate.h"

#include "check.h"

#include <sys/wait.h>
#include <unistd.h>

void activate_say(const char *count)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", count, 1);
}

int activate_child(int listener, void (*fn)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		CHECK(dup2(listener, 3) == 3 && dup2(listener, 4) == 4);
		fn();
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return status;
}
