/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Children; see child.h. Output goes to files in memory, which take it whatever we do meanwhile;
 * what is beyond CHILD_OUTPUT_MAX is not read. LVM's own commands, which lvm_snap_copy runs, have
 * process groups of their own and survive the end of a group: one that is killed half-way would
 * leave a suspended device.
 */
#include "child.h"

#include "clock.h"
#include "fsutil.h"
#include "stop.h"
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
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <linux/close_range.h>

enum { EXIT_NOT_STARTED = 127, KILL_WAIT_MS = 5000 };

void child_init(struct child *c)
{
	*c = (struct child){.pidfd = -1, .out = -1, .complaints = -1};
}

void child_done(struct child *c)
{
	fd_close(&c->pidfd);
	fd_close(&c->out);
	fd_close(&c->complaints);
	child_init(c);
}

/* The descriptor may be any number: 3 itself, or one that is in the way. */
static int place(int in, const struct child *c, int hold)
{
	const unsigned first = hold > 0 ? 4 : 3;

	if (dup2(in, 0) < 0 || dup2(c->out, 1) < 0 || dup2(c->complaints, 2) < 0)
		return -1;
	if (hold == 3 ? fcntl(3, F_SETFD, 0) < 0 : hold > 0 && dup2(hold, 3) < 0)
		return -1;
	return close_range(first, ~0U, 0);
}

static _Noreturn void become(
	const char *const *words, int in, int hold, const struct child *c, pid_t parent)
{
	sigset_t none;

	setpgid(0, 0);
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
		_exit(EXIT_NOT_STARTED);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (place(in, c, hold) == 0)
		execvp(words[0], (char *const *)(uintptr_t)words);
	_exit(EXIT_NOT_STARTED);
}

/* Appending, so that those who open /dev/stderr anew leave no hole. */
static int make_output(void)
{
	int fd = memfd_create("output", MFD_CLOEXEC);

	if (fd >= 0 && fcntl(fd, F_SETFL, O_APPEND) < 0)
		fd_close(&fd);
	return fd;
}

static int make_input(const char *input, size_t len)
{
	int fd = input ? memfd_create("input", MFD_CLOEXEC)
		       : open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && input && (fs_write_all(fd, input, len) < 0 || lseek(fd, 0, SEEK_SET) < 0))
		fd_close(&fd);
	return fd;
}

int child_start(
	struct child *c, const char *const *words, const struct child_input *input, struct err *err)
{
	CLEANUP_FD int in = make_input(input ? input->text : NULL, input ? input->len : 0);
	pid_t parent = getpid();

	child_init(c);
	c->out = make_output();
	c->complaints = make_output();
	if (in < 0 || c->out < 0 || c->complaints < 0) {
		err_sys(err, errno, "%s: files for it", words[0]);
		child_done(c);
		return -err->code;
	}
	c->pid = fork();
	if (c->pid == 0)
		become(words, in, input ? input->hold : 0, c, parent);
	if (c->pid > 0)
		setpgid(c->pid, c->pid); /* whoever is first */
	c->pidfd = c->pid > 0 ? pidfd_open(c->pid, 0) : -1;
	c->began = clock_ms();
	if (c->pidfd < 0) {
		err_sys(err, errno, "%s: cannot be started", words[0]);
		child_kill(c);
		child_done(c);
		return -err->code;
	}
	return 0;
}

bool child_poll(struct child *c)
{
	if (c->pid > 0 && waitpid(c->pid, &c->status, WNOHANG) == c->pid)
		c->pid = 0;
	return c->pid <= 0;
}

/* One that hangs in the kernel is left to it: we are to end in a second or two. */
void child_kill(struct child *c)
{
	struct pollfd p = {.fd = c->pidfd, .events = POLLIN};

	if (c->pid <= 0)
		return;
	kill(-c->pid, SIGKILL);
	if (p.fd >= 0)
		poll(&p, 1, KILL_WAIT_MS);
	child_poll(c);
	c->pid = 0;
}

/* In order, and if that does not help, by force; what is left of its group goes, too. It is not
 * reaped before that, so that the group's number is nobody else's. */
static void end(struct child *c)
{
	uint64_t until = clock_ms() + CHILD_GRACE_MS, now;
	struct pollfd p = {.fd = c->pidfd, .events = POLLIN};

	kill(c->pid, SIGTERM);
	kill(c->pid, SIGCONT);
	while ((now = clock_ms()) < until && poll(&p, 1, (int)(until - now)) <= 0)
		;
	child_kill(c);
}

static int look(struct child *c, const struct child_rules *r, struct err *err)
{
	if (r->stop && stop_due(r->stop))
		return err_set(err, ECANCELED, "%s", r->stop->why);
	if (r->timeout_ms && clock_ms() - c->began >= r->timeout_ms)
		return err_set(err, ETIMEDOUT, "did not end within %llu s",
			(unsigned long long)(r->timeout_ms / 1000));
	return r->tick ? r->tick(r->owner, err) : 0;
}

int child_wait(struct child *c, const struct child_rules *rules, struct err *err)
{
	struct pollfd fds[2] = {{.fd = c->pidfd, .events = POLLIN},
		{.fd = rules->stop ? rules->stop->fd : -1, .events = POLLIN}};

	while (!child_poll(c)) {
		int r = look(c, rules, err);

		if (r < 0) {
			end(c);
			return r;
		}
		poll(fds, ARRAY_LEN(fds), CHILD_TICK_MS);
	}
	return 0;
}

/* The end of what FD has, at most CHILD_OUTPUT_MAX of it. */
static char *text_of(int fd)
{
	struct stat st;
	char *text = calloc(1, CHILD_OUTPUT_MAX + 1);
	off_t from;

	if (!text || fstat(fd, &st) < 0)
		return text;
	from = st.st_size > CHILD_OUTPUT_MAX ? st.st_size - CHILD_OUTPUT_MAX : 0;
	if (fs_read_at(fd, text, CHILD_OUTPUT_MAX, from) < 0)
		text[0] = 0;
	return text;
}

char *child_output(const struct child *c)
{
	return text_of(c->out);
}

/* The last error of a program of ours, or else its last line. */
static void complaint(char *text, char *out, size_t room)
{
	static const char mark[] = ": error: ";
	const char *best = "", *found;
	bool is_error = false;

	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		found = strstr(line, mark);
		if (found || !is_error)
			best = found ? found + strlen(mark) : line;
		is_error = is_error || found;
	}
	str_printable(out, room, best, strlen(best));
}

int child_judge(const struct child *c, const char *what, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	char line[360] = "", how[48];

	if (WIFEXITED(c->status) && WEXITSTATUS(c->status) == 0)
		return 0;
	if (WIFEXITED(c->status) && WEXITSTATUS(c->status) == EXIT_NOT_STARTED)
		snprintf(how, sizeof(how), "is not found, or could not be started");
	else if (WIFEXITED(c->status))
		snprintf(how, sizeof(how), "exit status %d", WEXITSTATUS(c->status));
	else
		snprintf(how, sizeof(how), "ended by signal %d", WTERMSIG(c->status));
	text = text_of(c->complaints);
	if (text)
		complaint(text, line, sizeof(line));
	return err_set(err, EREMOTEIO, "%s: %s", what, line[0] ? line : how);
}

bool child_complained(const struct child *c, const char *text)
{
	CLEANUP_FREE char *all = text_of(c->complaints);
	char *rest;

	for (char *line = all ? strtok_r(all, "\n", &rest) : NULL; line;
		line = strtok_r(NULL, "\n", &rest)) {
		const char *end = strstr(line, text);

		if (end && !end[strlen(text)])
			return true;
	}
	return false;
}
