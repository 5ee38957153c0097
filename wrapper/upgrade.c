/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One upgrade at a time; see upgrade.h. Checking is a child whose words are read from a pipe; the
 * rest is a timer that looks, every TICK_MS, whether the moment has come: no command or reload is
 * under way, and no server has something of ours yet to receive, for what we have not sent is lost
 * by the exec.
 *
 * If the new program does not speak our ipc.h, there is one step more: the negotiators finish their
 * handshakes and nobody listens meanwhile, clients wait in the queues of the sockets.
 */
#include "upgrade.h"

#include "handover.h"
#include "ipc.h"
#include "log.h"
#include "master.h"
#include "proc.h"
#include "retired.h"
#include "state.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

enum {
	TICK_MS = 10,
	CHECK_MS = 10 * 1000,  /* of each try: */
	CHECKS_MAX = 2,        /* a host may be busy with something else */
	WAIT_MS = 20 * 1000,   /* for commands */
	RETIRE_MS = 10 * 1000, /* for handshakes, if the new program cannot take them */
	WORDS_MAX = 4096,
};

struct upgrade {
	struct master *master;
	struct ctl_conn *conn; /* NULL = gone */
	char *path;
	int out, pidfd; /* of the child that checks; -1 = none */
	pid_t pid;
	unsigned checks; /* begun */
	struct reactor_watch watch;
	struct reactor_timer timer; /* deadline of the check, then the tick */
	uint64_t until;             /* ms: of the wait */
	int ipc;                    /* IPC_VERSION of the new program */
	char words[WORDS_MAX];
	size_t len;
};

static void forget_child(struct upgrade *u)
{
	reactor_remove(&u->master->reactor, &u->watch);
	fd_close(&u->out);
	if (u->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, u->pidfd, SIGKILL, NULL, 0);
	fd_close(&u->pidfd);
}

static void release(struct upgrade *u)
{
	forget_child(u);
	reactor_timer_cancel(&u->master->reactor, &u->timer);
	u->master->upgrade = NULL;
	free(u->path);
	free(u);
}

static void fail(struct upgrade *u, const struct err *err)
{
	struct ctl_conn *c = u->conn;

	log_error("not upgraded: %s", err->text);
	release(u);
	if (!c)
		return;
	ctl_send_error(c, err->text);
	ctl_resume(c);
}

/* The moment. */

struct look {
	const struct upgrade *upgrade;
	unsigned commands;
};

static void count_command(void *arg, struct ctl_conn *c)
{
	struct look *l = arg;

	l->commands += c != l->upgrade->conn && (c->paused || c->out);
}

/* What is queued for it would be lost, and so would be the wish that it ends. */
static bool is_at_rest(const struct worker *w, struct err *err)
{
	if (!w->ctl.out && !w->retires)
		return true;
	err_set(err, EBUSY, "the server of '%.100s' (pid %d) %s; try again", w->export_name,
		(int)w->pid, w->retires ? "is being replaced" : "takes no clients");
	return false;
}

/* False, and why. */
static bool is_quiet(const struct upgrade *u, struct err *err)
{
	struct master *m = u->master;
	struct look l = {.upgrade = u};

	ctl_server_each(&m->ctl, count_command, &l);
	if (l.commands || m->additions || m->askings || m->evictions || m->gathers) {
		err_set(err, EBUSY, "other commands are still under way; try again");
		return false;
	}
	if (m->reload) {
		err_set(err, EBUSY, "a reload is still under way; try again");
		return false;
	}
	for (const struct worker *w = m->workers; w; w = w->next) {
		if (!is_at_rest(w, err))
			return false;
	}
	return true;
}

/* Those that were to retire have ended, or have nobody left to wait for them. */
static bool have_retired(const struct upgrade *u)
{
	const struct master *m = u->master;

	return !m->retiring || (!m->negotiator_pid && m->negotiator.fd < 0 && !m->retired) ||
		m->reactor.now >= u->until;
}

/* Handshakes go on here, with another negotiator. */
static void listen_again(struct master *m)
{
	struct err err = {0};
	int fd = m->negotiator_pid ? fcntl(m->negotiator.fd, F_DUPFD_CLOEXEC, 0) : -1;

	m->retiring = false;
	if (fd >= 0)
		retired_add(m, m->negotiator_pid, fd);
	chan_done(&m->negotiator);
	if (link_start(m, &err) < 0)
		log_error("%s", err.text);
}

static void go(struct upgrade *u)
{
	struct master *m = u->master;
	struct err err = {0};

	handover_exec(m, u->path, u->conn, &err);
	if (m->retiring)
		listen_again(m);
	fail(u, &err);
}

static void tick(struct reactor_timer *t)
{
	struct upgrade *u = container_of(t, struct upgrade, timer);
	struct master *m = u->master;
	struct err err = {0};

	reactor_timer_set(&m->reactor, t, TICK_MS);
	if (m->ending) {
		err_set(&err, ESHUTDOWN, "the wrapper is shutting down");
		fail(u, &err);
	} else if (!is_quiet(u, &err) || !have_retired(u)) {
		if (m->reactor.now >= u->until && !m->retiring)
			fail(u, &err);
	} else if (u->ipc != IPC_VERSION && !m->retiring) {
		u->until = m->reactor.now + RETIRE_MS;
		link_retire(m);
	} else {
		go(u);
	}
}

/* Checking. */

/* Its first line says what is wrong. */
static void refused(struct upgrade *u)
{
	struct err err;
	int len = (int)strcspn(u->words, "\n");

	if (len)
		err_set(&err, EINVAL, "%.200s: %.*s", u->path, len, u->words);
	else
		err_set(&err, EINVAL,
			"%.200s: says nothing; it must be an xnbd-wrapper that can take over",
			u->path);
	fail(u, &err);
}

static void has_checked(struct upgrade *u)
{
	u->words[u->len] = 0;
	u->ipc = handover_checked(u->words);
	forget_child(u);
	if (u->ipc < 0) {
		refused(u);
		return;
	}
	u->until = u->master->reactor.now + WAIT_MS;
	u->timer.fn = tick;
	reactor_timer_set(&u->master->reactor, &u->timer, 0);
}

static void words(struct reactor_watch *w, uint32_t events)
{
	struct upgrade *u = container_of(w, struct upgrade, watch);
	size_t room = sizeof(u->words) - 1 - u->len;
	char more[512];
	ssize_t n = read(u->out, room ? u->words + u->len : more, room ? room : sizeof(more));

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		has_checked(u);
	else if (room)
		u->len += (size_t)n;
}

/* Not from within the request: its connection is paused until it is over. */
static void cannot_check(struct reactor_timer *t)
{
	struct upgrade *u = container_of(t, struct upgrade, timer);
	struct err err;

	err_set(&err, ENOMEM, "%.200s: cannot be run: %s", u->path ? u->path : "?", u->words);
	fail(u, &err);
}

/* Relative paths on the command line mean what they meant at the start. */
static pid_t spawn_there(const struct master *m, char *const argv[], int fd)
{
	CLEANUP_FD int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	pid_t pid;

	if (*m->self->folder && chdir(m->self->folder) < 0)
		log_debug("folder %s: %s", m->self->folder, strerror(errno));
	pid = proc_spawn(argv, &fd, 1, true);
	if (here >= 0 && fchdir(here) < 0)
		log_warn("working directory: %s", strerror(errno));
	return pid;
}

static int spawn_check(struct upgrade *u, int fd)
{
	static const char *const shell[] = {"/bin/sh", "-c", "exec \"$0\" \"$@\" >&3 2>&3 3>&-"};
	char *const *args = u->master->self->argv + 1;
	size_t n = 0, count = ARRAY_LEN(shell);
	const char **argv;
	pid_t pid;

	while (args[n])
		n++;
	argv = calloc(count + n + 3, sizeof(*argv));
	if (!argv)
		return -ENOMEM;
	memcpy(argv, shell, sizeof(shell));
	argv[count] = u->path;
	memcpy(argv + count + 1, args, n * sizeof(*argv));
	argv[count + 1 + n] = "--upgrade-check";
	pid = spawn_there(u->master, (char *const *)(uintptr_t)argv, fd);
	free(argv);
	u->pid = pid;
	if (pid > 0)
		u->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	return pid < 0 ? pid : 0;
}

static int check(struct upgrade *u)
{
	struct reactor *r = &u->master->reactor;
	int fds[2], ret;

	u->checks++;
	u->len = 0;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	u->out = fds[0];
	ret = spawn_check(u, fds[1]);
	close(fds[1]);
	if (ret == 0)
		ret = reactor_add(r, &u->watch, u->out, EPOLLIN, words);
	if (ret == 0)
		ret = reactor_timer_set(r, &u->timer, CHECK_MS);
	return ret;
}

/* 'S' = it sleeps, 'R' = it runs ..., '?' = unknown (proc(5)). */
static char state_of(pid_t pid)
{
	char path[40], text[512] = "";
	const char *end;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return '?';
	text[fread(text, 1, sizeof(text) - 1, f)] = 0;
	fclose(f);
	end = strrchr(text, ')');
	return end && end[1] && end[2] ? end[2] : '?';
}

static void check_too_late(struct reactor_timer *t)
{
	struct upgrade *u = container_of(t, struct upgrade, timer);
	struct err err;
	int ret;

	err_set(&err, ETIMEDOUT, "%.200s: --upgrade-check does not end within %d s (state %c)",
		u->path, CHECK_MS / 1000, state_of(u->pid));
	forget_child(u);
	ret = u->checks < CHECKS_MAX ? check(u) : -ETIMEDOUT;
	if (ret == 0)
		log_warn("%s; tried once more", err.text);
	else
		fail(u, &err);
}

/* The command. */

static bool has_state(const struct master *m)
{
	for (size_t i = 0; i < m->exports.count; i++) {
		if (m->exports.entries[i].config.source == EXPORT_FROM_STATE)
			return true;
	}
	return json_object_size(m->exports.serials) > 0;
}

/* What is only in memory, because it could not be written before, would be lost. */
static int prepare(struct master *m, const char *path, struct err *err)
{
	if (m->upgrade)
		return err_set(err, EALREADY, "an upgrade is under way already");
	if (m->ending)
		return err_set(err, ESHUTDOWN, "the wrapper is shutting down");
	if (*path != '/')
		return err_set(err, EINVAL, "\"binary\" must be an absolute path");
	if (access(path, X_OK) < 0)
		return err_sys(err, errno, "%s", path);
	return has_state(m) ? state_save(m->options->dbpath, &m->exports, err) : 0;
}

static struct upgrade *begin(struct master *m, struct ctl_conn *c, const char *path)
{
	struct upgrade *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	*u = (struct upgrade){.master = m, .conn = c, .path = strdup(path), .out = -1, .pidfd = -1};
	u->timer.fn = check_too_late;
	m->upgrade = u;
	ctl_pause(c);
	return u;
}

static void do_upgrade(struct master *m, struct ctl_conn *c, json_t *msg)
{
	const char *path = json_string_value(json_object_get(msg, "binary"));
	struct err err = {0};
	struct upgrade *u;
	int ret;

	path = path ? path : m->self->binary;
	if (prepare(m, path, &err) < 0) {
		ctl_send_error(c, err.text);
		return;
	}
	u = begin(m, c, path);
	if (!u) {
		ctl_send_error(c, "out of memory");
		return;
	}
	ret = u->path ? check(u) : -ENOMEM;
	if (ret < 0) {
		forget_child(u);
		snprintf(u->words, sizeof(u->words), "%s", strerror(-ret));
		u->timer.fn = cannot_check;
		reactor_timer_set(&m->reactor, &u->timer, 0);
	}
}

const struct control_command upgrade_commands[] = {
	{"upgrade", do_upgrade},
	{NULL, NULL},
};

void upgrade_gone(struct master *m, const struct ctl_conn *c)
{
	if (m->upgrade && m->upgrade->conn == c)
		m->upgrade->conn = NULL;
}

void upgrade_end(struct master *m)
{
	if (m->upgrade)
		release(m->upgrade);
}
