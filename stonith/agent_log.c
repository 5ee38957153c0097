/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One line, one write(2); see agent_log.h. Called by the front ends for every line of the log. */
#include "agent_log.h"

#include "proc.h"
#include "util.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_ROOM = 2048 };

/* A dash into each "timeout", in any case of letters. */
static size_t copy_text(char *ret, size_t room, const char *text)
{
	static const char word[] = "timeout";
	size_t n = 0;

	for (const char *at = text; *at && n + 2 < room; at++) {
		ret[n++] = *at;
		if (at - text >= 3 && strncasecmp(at - 3, word, sizeof(word) - 1) == 0)
			ret[n++] = '-';
	}
	return n;
}

void agent_log_write(int fd, const char *name, enum log_level level, const char *text)
{
	static const char *const levels[] = {
		[LOG_LEVEL_ERROR] = "error",
		[LOG_LEVEL_WARN] = "warning",
		[LOG_LEVEL_INFO] = "info",
		[LOG_LEVEL_DEBUG] = "debug",
	};
	char line[LINE_ROOM];
	int head = snprintf(line, sizeof(line), "%.64s: %s: ", name, levels[level]);
	size_t n = (size_t)head, done = 0;

	n += copy_text(line + n, sizeof(line) - n - 1, text);
	line[n++] = '\n';
	while (done < n) {
		ssize_t r = write(fd, line + done, n - done);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return;
		done += (size_t)r;
	}
}

void agent_start(void)
{
	proc_fill_streams();
	umask(077);
	signal(SIGPIPE, SIG_IGN);
}
