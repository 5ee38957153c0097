/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands of the administrator. Each runs in a process group of its own, with nothing of ours but
 * a file in memory for what it prints, of which the end is kept: unlike a pipe that leaves nobody
 * with a broken one, and has no end to wait for. The shell's end is the command's end: what it left
 * in the background is not waited for, and not killed unless the time was up.
 */
#include "hook.h"

#include "buf.h"
#include "clock.h"
#include "fsutil.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <linux/close_range.h>

enum {
	ROLE_TIMEOUT = 10, /* s */
	ENVIRONMENT_MAX = 8,
	COMMAND_MAX = 65536,
	LOOK_MS = 20,                 /* between two looks at the size of the output */
	OUTPUT_MAX = 16 * 1024 * 1024 /* of what it may print in all */
};

#define SAFE_BYTES "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-+@:,="

struct hook {
	const char *what; /* "validate of set X" */
	const char *command;
	uint64_t timeout; /* s */
	bool silent;      /* what it prints is not told: it may be secret */
	char *environment[ENVIRONMENT_MAX];
	size_t count;
	char output[HOOK_OUTPUT_MAX]; /* its end */
	size_t len;
};

static void add(struct hook *h, const char *name, const char *value)
{
	char *text = NULL;

	if (h->count + 1 < ENVIRONMENT_MAX && asprintf(&text, "%s=%s", name, value) >= 0)
		h->environment[h->count++] = text;
}

static void add_all(struct hook *h, const struct config *c, const struct config_set *s,
	const char *role, uint64_t generation)
{
	char number[24];

	add(h, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	add(h, "LANG", "C.UTF-8");
	add(h, "CONFSYNC_NODE", c->self->name);
	if (!s)
		return;
	snprintf(number, sizeof(number), "%llu", (unsigned long long)generation);
	add(h, "CONFSYNC_SET", s->name);
	add(h, "CONFSYNC_ROLE", role);
	add(h, "CONFSYNC_GENERATION", number);
}

static void drop(struct hook *h)
{
	while (h->count > 0)
		free(h->environment[--h->count]);
}

static _Noreturn void child(const struct hook *h, int out)
{
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)h->command, NULL};
	int null = open("/dev/null", O_RDONLY);
	sigset_t none;

	setpgid(0, 0);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(022);
	if (null >= 0 && chdir("/") == 0 && dup2(null, 0) >= 0 && dup2(out, 1) >= 0 &&
		dup2(out, 2) >= 0 && close_range(3, ~0U, 0) == 0)
		execve("/bin/sh", argv, h->environment);
	_exit(127);
}

static uint64_t size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? 0 : (uint64_t)st.st_size;
}

/* 0: it has ended; -ETIMEDOUT; -EFBIG: it prints without end. */
static int wait_for(struct hook *h, int pidfd, int out)
{
	struct pollfd fd = {.fd = pidfd, .events = POLLIN};
	uint64_t until = clock_ms() + h->timeout * 1000;

	for (uint64_t now; (now = clock_ms()) < until;) {
		int n = poll(&fd, 1, (int)MIN_OF(until - now, (uint64_t)LOOK_MS));

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			return 0;
		if (size_of(out) > OUTPUT_MAX)
			return -EFBIG;
	}
	return -ETIMEDOUT;
}

/* Appending, so that who opens /dev/stderr anew, which empties it, leaves no hole. */
static int start(struct hook *h, pid_t *pid, int *out, struct err *err)
{
	int fd = memfd_create("output", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || fcntl(fd, F_SETFL, O_APPEND) < 0) {
		err_sys(err, errno, "%s: a file for its output", h->what);
		fd_close(&fd);
		return -err->code;
	}
	*out = fd;
	*pid = fork();
	if (*pid == 0)
		child(h, fd);
	if (*pid < 0)
		return err_sys(err, errno, "%s: fork", h->what);
	setpgid(*pid, *pid); /* whoever is first */
	return 0;
}

/* The end of it. What is still running can not fill memory with more that nobody reads. */
static void take_output(struct hook *h, int out)
{
	uint64_t size;
	ssize_t n;

	fcntl(out, F_ADD_SEALS, F_SEAL_GROW);
	size = size_of(out);
	n = fs_read_at(out, h->output, sizeof(h->output),
		(off_t)(size - MIN_OF(size, (uint64_t)sizeof(h->output))));
	h->len = n < 0 ? 0 : (size_t)n;
}

static int killed(const struct hook *h, int r, struct err *err)
{
	if (r == -ETIMEDOUT)
		return err_set(err, ETIMEDOUT, "%s: killed, as it did not end within %llu s",
			h->what, (unsigned long long)h->timeout);
	if (r == -EFBIG)
		return err_set(err, EFBIG, "%s: killed, as it printed more than %d MiB", h->what,
			OUTPUT_MAX / 1024 / 1024);
	return err_sys(err, -r, "%s", h->what);
}

/* Runs it to its end, or kills it. *status as of waitpid(2). */
static int run(struct hook *h, int *status, struct err *err)
{
	CLEANUP_FD int out = -1, pidfd = -1;
	pid_t pid = -1;
	int ret = start(h, &pid, &out, err);

	if (ret < 0)
		return ret;
	pidfd = pidfd_open(pid, 0);
	ret = pidfd < 0 ? -errno : wait_for(h, pidfd, out);
	if (ret < 0)
		kill(-pid, SIGKILL);
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
	take_output(h, out);
	return ret < 0 ? killed(h, ret, err) : 0;
}

/* The last whole lines of the output that fit in ROOM, as one. */
static void tail(struct hook *h, char *out, size_t room)
{
	char *from = h->output, *line;
	size_t len = h->len;

	while (len > 0 && strchr("\n\r\t ", from[len - 1]))
		len--;
	if (len >= room) {
		from += len - (room - 1);
		len = room - 1;
		line = memchr(from, '\n', len);
		len -= line ? (size_t)(line + 1 - from) : 0;
		from = line ? line + 1 : from;
	}
	for (size_t i = 0; i < len; i++)
		from[i] = strchr("\n\r\t", from[i]) ? ' ' : from[i];
	str_printable(out, room, from, len);
}

static int judge(struct hook *h, int status, struct err *err)
{
	char how[64], text[360];

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status))
		snprintf(how, sizeof(how), "exit status %d", WEXITSTATUS(status));
	else
		snprintf(how, sizeof(how), "ended by signal %d", WTERMSIG(status));
	if (h->silent)
		snprintf(text, sizeof(text), "what it printed is not told, as the set is secret");
	else
		tail(h, text, sizeof(text));
	return err_set(err, EREMOTEIO, "%s: %s%s%s", h->what, how, *text ? ": " : "", text);
}

static int run_and_judge(struct hook *h, struct err *err)
{
	int status = 0, ret = run(h, &status, err);

	drop(h);
	return ret < 0 ? ret : judge(h, status, err);
}

/* "%r" becomes ROOT, "%%" one of them. malloc'd. */
static char *expand(const char *command, const char *root)
{
	struct buf b;
	char *ret;

	buf_init(&b, COMMAND_MAX);
	for (const char *p = command; *p; p++) {
		bool known = p[0] == '%' && (p[1] == 'r' || p[1] == '%');

		if (known && p[1] == 'r')
			buf_put(&b, root, strlen(root));
		else
			buf_put(&b, p, 1);
		p += known;
	}
	buf_put(&b, "", 1);
	ret = buf_failed(&b) ? NULL : strdup((const char *)buf_bytes(&b));
	buf_done(&b);
	return ret;
}

int hook_validate(const struct config *c, const struct config_set *s, const char *root,
	uint64_t generation, struct err *err)
{
	char what[128];
	CLEANUP_FREE char *command = NULL;
	struct hook h = {.what = what, .timeout = s->validate_timeout};

	if (!s->validate)
		return 0;
	snprintf(what, sizeof(what), "validate of set %s", s->name);
	/* It stands in a command as it is. */
	if (root[strspn(root, SAFE_BYTES)])
		return err_set(err, EINVAL,
			"%s: the state directory's name has characters that the shell knows: %.200s",
			what, root);
	command = expand(s->validate, root);
	if (!command)
		return err_set(err, ENOMEM, "%s: no memory, or the command is too long", what);
	h.command = command;
	h.silent = s->kind == CONFIG_SECRET;
	add_all(&h, c, s, "unknown", generation);
	add(&h, "CONFSYNC_ROOT", root);
	return run_and_judge(&h, err);
}

static bool wanted(const struct config_set *s, bool active)
{
	return s->reload &&
		(s->reload_on == CONFIG_BOTH || (s->reload_on == CONFIG_ON_ACTIVE) == active);
}

int hook_reload(const struct config *c, const struct config_set *s, bool active,
	uint64_t generation, struct err *err)
{
	char what[128];
	struct hook h = {.what = what, .command = s->reload, .timeout = s->reload_timeout};
	const char *role = !c->general.role_command ? "unknown" : active ? "active" : "passive";

	if (!wanted(s, active))
		return 0;
	snprintf(what, sizeof(what), "reload of set %s on %s", s->name, c->self->name);
	h.silent = s->kind == CONFIG_SECRET;
	add_all(&h, c, s, role, generation);
	return run_and_judge(&h, err);
}

int hook_role(const struct config *c, struct err *err)
{
	struct hook h = {.what = "role command",
		.command = c->general.role_command,
		.timeout = ROLE_TIMEOUT};
	int status = 0, ret;

	if (!h.command)
		return 0;
	add_all(&h, c, NULL, NULL, 0);
	ret = run(&h, &status, err);
	drop(&h);
	if (ret < 0)
		return ret;
	/* The shell's words for: there is no such command, it cannot be run. */
	if (!WIFEXITED(status) || WEXITSTATUS(status) == 126 || WEXITSTATUS(status) == 127)
		return judge(&h, status, err);
	return WEXITSTATUS(status) == 0;
}
