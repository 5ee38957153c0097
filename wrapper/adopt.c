/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finding servers and asking them; what becomes of them is decided in adopt_match.c. See adopt.h.
 *
 * A server is in the list of workers from the moment we are connected to it: as `adopting` until it
 * has answered, with an id no export has, or the id it had for the wrapper before. Those of the
 * start are looked at together, when all have answered or it has taken too long: then it is known
 * which export has two of them, and a snapshot's server finds the entry of its export.
 */
#include "adopt_inner.h"

#include "log.h"
#include "master.h"
#include "sock.h"
#include "str.h"
#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

enum { ASK_AGAIN_MS = 20, ASKS_MAX = 500 };

static void forget(struct reactor_timer *t)
{
	worker_forget(container_of(t, struct worker, deadline));
}

/* In a turn of its own: its connection's own code may be running above us. */
static void drop(struct worker *w)
{
	worker_give_up(w, "the export's server has just ended; try again");
	ctl_conn_done(&w->ctl);
	w->deadline.fn = forget;
	reactor_timer_set(&w->master->reactor, &w->deadline, 0);
}

/* What it says. */

/* By the kernel's number for it, so that nobody else is meant when it has ended. */
static int watch_process(struct worker *w, pid_t pid)
{
	if (w->pidfd >= 0)
		return 0;
	w->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (w->pidfd < 0)
		return -errno;
	w->pid = pid;
	return reactor_add(
		&w->master->reactor, &w->process, w->pidfd, EPOLLIN, worker_process_ended);
}

static void answered(struct worker *w, json_t *msg)
{
	json_int_t pid = json_integer_value(json_object_get(msg, "pid"));

	if (pid <= 0 || watch_process(w, (pid_t)pid) < 0) {
		log_warn(
			"%s: its server cannot be taken over: it says nothing of itself, or has ended",
			w->ctl_path);
		drop(w);
		return;
	}
	w->adopting = false;
	w->answer = json_incref(msg);
	json_object_set_new(msg, ADOPT_EVENTS, json_array());
	if (w->master->adopted)
		adopt_match(w);
}

static int send_question(struct worker *w)
{
	w->asked++;
	return ctl_send(
		&w->ctl, json_pack("{s:s, s:i}", "cmd", "adopt", "protocol", ADOPT_PROTOCOL), -1);
}

static void ask_again(struct reactor_timer *t)
{
	struct worker *w = container_of(t, struct worker, again);

	if (w->adopting && w->ctl.fd >= 0)
		send_question(w);
}

/*
 * It has a master: we ourselves, before the exec, or one that was killed. A child of that which has
 * not yet become another program holds on to the connection for a moment.
 */
static bool is_leaving(pid_t master)
{
	return master > 0 && (master == getpid() || (kill(master, 0) < 0 && errno == ESRCH));
}

/* An older one, or a newer: what everyone has always known. */
static void refused(struct worker *w, json_t *msg)
{
	const char *text = json_string_value(json_object_get(msg, "error"));
	pid_t master = (pid_t)json_integer_value(json_object_get(msg, "master"));

	if (!w->foreign && is_leaving(master) && w->asked < ASKS_MAX) {
		reactor_timer_set(&w->master->reactor, &w->again, ASK_AGAIN_MS);
		return;
	}
	if (w->foreign || json_object_get(msg, "master")) {
		log_warn("%s: its server cannot be taken over: %s", w->ctl_path, text ? text : "?");
		drop(w);
		return;
	}
	w->foreign = true;
	snprintf(w->why, sizeof(w->why), "%s", text ? text : "");
	ctl_send(&w->ctl, json_pack("{s:s}", "cmd", "status"), -1);
}

static void says(struct ctl_conn *c, json_t *msg, int fd)
{
	struct worker *w = container_of(c, struct worker, ctl);
	json_t *ok = json_object_get(msg, "ok");

	fd_close(&fd);
	if (!w->adopting)
		json_array_append(json_object_get(w->answer, ADOPT_EVENTS), msg);
	else if (json_is_true(ok))
		answered(w, msg);
	else if (json_is_false(ok))
		refused(w, msg);
}

static void hung_up(struct ctl_conn *c)
{
	struct worker *w = container_of(c, struct worker, ctl);

	if (w->adopting)
		drop(w);
}

static const struct ctl_ops ops = {says, hung_up};

bool adopt_is_silent(const struct worker *w)
{
	return w->adopting && w->ctl.fd >= 0;
}

/* Asking. */

static struct worker *new_worker(struct master *m, const char *path)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	*w = (struct worker){.master = m,
		.next = m->workers,
		.export_id = adopt_no_export(m),
		.state = WORKER_STARTING,
		.pidfd = -1,
		.adopting = true};
	w->ctl.fd = -1;
	w->deadline.fn = worker_too_late;
	w->again.fn = ask_again;
	w->export_name = strdup(str_base_name(path));
	snprintf(w->ctl_path, sizeof(w->ctl_path), "%s", path);
	m->workers = w;
	if (w->export_name)
		return w;
	worker_forget(w);
	return NULL;
}

/* Takes FD. */
static int ask(struct master *m, const char *path, int fd)
{
	struct worker *w = new_worker(m, path);

	if (!w) {
		close(fd);
		return -ENOMEM;
	}
	if (ctl_conn_init(&w->ctl, &m->reactor, fd, &ops) < 0) {
		w->ctl.fd = -1;
		worker_forget(w);
		return -ENOMEM;
	}
	w->ctl.in.limit = CTL_ANSWER_MAX; /* it may have many clients */
	return send_question(w);
}

/* Names end in a number; those of new ones must be others. */
static void skip_number(struct master *m, const char *name)
{
	const char *last = strrchr(name, '-');
	uint64_t n;

	if (last && str_number(last + 1, 0, INT64_MAX, &n) == 0)
		m->last_worker = MAX_OF(m->last_worker, n);
}

static int look_at(struct master *m, const char *folder, const char *name)
{
	char path[SOCK_UNIX_PATH_MAX + 1];
	int fd;

	if ((*name != 'w' && *name != 'p') ||
		snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
		return 0;
	skip_number(m, name);
	fd = sock_try_unix(path);
	if (fd == -ECONNREFUSED)
		unlink(path);
	else if (fd < 0)
		log_warn("%s: left alone: %s", path, strerror(-fd));
	else if (*name == 'w')
		return ask(m, path, fd);
	fd_close(&fd);
	return 0;
}

static int look_at_all(struct master *m, const char *folder, struct err *err)
{
	struct dirent *entry;
	DIR *d = opendir(folder);
	int ret = d ? 0 : err_sys(err, errno, "folder %s", folder);

	while (d && ret == 0 && (entry = readdir(d))) {
		ret = look_at(m, folder, entry->d_name);
		if (ret < 0)
			err_sys(err, -ret, "folder %s", folder);
	}
	if (d)
		closedir(d);
	return ret;
}

static void take_known(struct worker *w, json_t *one)
{
	const char *name = json_string_value(json_object_get(one, "name"));
	uint32_t id = (uint32_t)json_integer_value(json_object_get(one, "export"));
	char *copy = name ? strdup(name) : NULL;

	if (!worker_for(w->master, id) && exports_by_id(&w->master->exports, id))
		w->export_id = id;
	if (copy) {
		free(w->export_name);
		w->export_name = copy;
	}
	w->pid = (pid_t)json_integer_value(json_object_get(one, "pid"));
	w->known = json_incref(one);
}

/* What was known before an upgrade: its clients wait for it by the id of their export. */
static void remember(struct worker *w, json_t *known)
{
	json_t *one;
	size_t i;

	json_array_foreach(known, i, one)
	{
		const char *path = json_string_value(json_object_get(one, "path"));

		if (path && strcmp(path, w->ctl_path) == 0)
			take_known(w, one);
	}
}

/* Waiting. */

static void nothing(struct reactor_timer *t)
{
	(void)t; /* it ends a wait */
}

static bool all_known(void *arg)
{
	const struct master *m = arg;

	for (const struct worker *w = m->workers; w; w = w->next) {
		if (adopt_is_silent(w))
			return !m->adopt_end.slot;
	}
	return true;
}

/* Signals have to wait until there is something to end. */
static int wait_for_all(struct master *m)
{
	int ret;

	m->adopt_end.fn = nothing;
	ret = reactor_timer_set(&m->reactor, &m->adopt_end, ADOPT_MS);
	reactor_change(&m->reactor, &m->signals.watch, 0);
	if (ret == 0)
		ret = reactor_run_until(&m->reactor, all_known, m);
	reactor_change(&m->reactor, &m->signals.watch, EPOLLIN);
	reactor_timer_cancel(&m->reactor, &m->adopt_end);
	return ret;
}

int adopt_all(struct master *m, const char *folder, json_t *known, struct err *err)
{
	int ret = look_at_all(m, folder, err);

	for (struct worker *w = m->workers; w; w = w->next) {
		if (w->adopting)
			remember(w, known);
	}
	if (ret < 0)
		return ret;
	if (m->workers)
		ret = wait_for_all(m);
	if (ret == 0)
		ret = adopt_match_all(m);
	m->adopted = true;
	return ret < 0 ? err_sys(err, -ret, "servers of before") : 0;
}
