/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting a worker. Its control socket is bound here and inherited, so connecting never has to
 * wait for it. That of a proxy is held until the one before has been reaped, for the files of a
 * proxy are locked by its server to the end.
 */
#include "worker_inner.h"

#include "adopt.h"
#include "command.h"
#include "log.h"
#include "master.h"
#include "proc.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static int socket_path(
	const struct worker *w, char kind, char path[SOCK_UNIX_PATH_MAX + 1], struct err *err)
{
	const char *folder = w->master->options->run_folder;

	if (snprintf(path, SOCK_UNIX_PATH_MAX + 1, "%s/%c%u-%d-%llu", folder, kind, w->export_id,
		    (int)getpid(),
		    (unsigned long long)++w->master->last_worker) > SOCK_UNIX_PATH_MAX)
		return err_set(
			err, ENAMETOOLONG, "%s: the path is too long for sockets in it", folder);
	return 0;
}

/* Binds the worker's control socket and connects to it; *ret_listening goes to the worker. */
static int open_control(struct worker *w, int *ret_listening, struct err *err)
{
	int fd, ret = socket_path(w, 'w', w->ctl_path, err);

	if (ret == 0)
		ret = socket_path(w, 'p', w->proxy_path, err);
	if (ret < 0)
		return ret;
	*ret_listening = sock_listen_unix(w->ctl_path, 0600, err);
	if (*ret_listening < 0)
		return *ret_listening;
	fd = sock_connect_unix(w->ctl_path, err);
	if (fd < 0) {
		fd_close(ret_listening);
		return fd;
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (ctl_conn_init(&w->ctl, &w->master->reactor, fd, &worker_ops) < 0)
		return err_sys(err, ENOMEM, "%s", w->ctl_path);
	return 0;
}

static int launch(struct worker *w, const struct export_entry *e, struct err *err)
{
	struct command command;
	int listening, ret = open_control(w, &listening, err);
	pid_t pid;

	if (ret < 0)
		return ret;
	command_build(&command, w->master->server, w->master->options, e, w->proxy_path);
	pid = proc_spawn(command.argv, &listening, 1, false);
	close(listening);
	if (pid < 0)
		return err_sys(err, -pid, "start %s", w->master->server);
	w->pid = pid;
	if (reactor_timer_set(&w->master->reactor, &w->deadline,
		    e->config.kind == EXPORT_PROXY ? WORKER_PROXY_START_MS : WORKER_START_MS) < 0)
		return err_set(err, ENOMEM, "out of memory");
	ctl_send(&w->ctl, json_pack("{s:s, s:i}", "cmd", "adopt", "protocol", ADOPT_PROTOCOL), -1);
	return 0;
}

static void launch_held(struct worker *w)
{
	const struct export_entry *e = exports_by_id(&w->master->exports, w->export_id);
	struct err err = {0};

	w->held = false;
	w->deadline.fn = worker_too_late;
	if (e && launch(w, e, &err) == 0)
		return;
	log_export(LOG_LEVEL_ERROR, w->export_name, "%s", e ? err.text : "removed");
	worker_failed(w);
	worker_leave(w);
	worker_forget(w);
}

static void waited(struct reactor_timer *t)
{
	launch_held(container_of(t, struct worker, deadline));
}

/* After a failure. */
static int launch_after(struct worker *w, uint64_t ms)
{
	w->held = true;
	w->deadline.fn = waited;
	return reactor_timer_set(&w->master->reactor, &w->deadline, ms);
}

static uint64_t time_to_wait(const struct worker *w)
{
	const struct export_entry *e = exports_by_id(&w->master->exports, w->export_id);

	return e ? backoff_left(&e->backoff, w->master->reactor.now) : 0;
}

/* The proxy before has gone, with its locks. */
void worker_launch_held(struct master *m, uint32_t export_id)
{
	struct worker *w = m->workers;

	while (w && (!w->held || w->export_id != export_id))
		w = w->next;
	if (!w)
		return;
	if (!time_to_wait(w) || launch_after(w, time_to_wait(w)) < 0)
		launch_held(w);
}

static bool must_wait(const struct master *m, const struct export_entry *e)
{
	for (const struct worker *w = m->workers; w && e->config.kind == EXPORT_PROXY;
		w = w->next) {
		if (w->export_id == e->id)
			return true;
	}
	return false;
}

struct worker *worker_start(struct master *m, uint32_t export_id)
{
	const struct export_entry *e = exports_by_id(&m->exports, export_id);
	struct worker *w = calloc(1, sizeof(*w));
	struct err err = {0};
	int ret = 0;

	if (!w || !e || adopt_check_free(m, e, &err) < 0) {
		if (err.code)
			log_export(LOG_LEVEL_WARN, e->config.name, "%s", err.text);
		free(w);
		return NULL;
	}
	*w = (struct worker){
		.master = m, .export_id = export_id, .held = must_wait(m, e), .pidfd = -1};
	w->next = m->workers;
	w->ctl.fd = -1;
	w->deadline.fn = worker_too_late;
	w->export_name = strdup(e->config.name);
	m->workers = w;
	if (w->held)
		ret = reactor_timer_set(
			&m->reactor, &w->deadline, WORKER_STOP_MS + WORKER_START_MS);
	else if (time_to_wait(w))
		ret = launch_after(w, time_to_wait(w));
	else
		ret = launch(w, e, &err);
	if (!w->export_name || ret < 0) {
		log_export(LOG_LEVEL_ERROR, e->config.name, "%s",
			err.code ? err.text : "out of memory");
		worker_forget(w);
		return NULL;
	}
	return w;
}
