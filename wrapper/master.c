/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Start, run and end of the master. Two ends: shutdown (clients are ended between requests,
 * every worker exits, then we) and orphan (we go, workers stay with their clients).
 */
#include "master.h"

#include "command.h"
#include "conf.h"
#include "control.h"
#include "fsutil.h"
#include "log.h"
#include "migrate.h"
#include "proxy.h"
#include "relay.h"
#include "snapshots.h"
#include "state.h"
#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { END_MS = 20 * 1000, FOLDER_MAX = SOCK_UNIX_PATH_MAX + 8, SOCKET_NAME_ROOM = 32 };

bool master_readonly(const struct master *m, const struct export_entry *e)
{
	return command_readonly(m->options, e);
}

bool master_probes_readonly(const struct master *m, const struct export_entry *e)
{
	return master_readonly(m, e) || command_kind(m->options, e) == EXPORT_COW;
}

/* The table. */

static int save_if_concerned(struct master *m, enum export_source source, struct err *err)
{
	return source == EXPORT_FROM_STATE ? state_save(m->options->dbpath, &m->exports, err) : 0;
}

int master_export_added(struct master *m, const struct export_entry *e, struct err *err)
{
	uint32_t id = e->id;
	int ret = save_if_concerned(m, e->source, err);

	if (ret < 0)
		exports_remove(&m->exports, id); /* what is not saved was not added */
	else
		link_send_export(m, e);
	return ret;
}

int master_export_remove(struct master *m, uint32_t id, struct err *err)
{
	struct export_entry *e = exports_by_id(&m->exports, id);
	enum export_source source;
	int ret;

	if (!e)
		return err_set(err, ENOENT, "no export has index %u", id);
	source = e->source;
	e->source = EXPORT_FROM_OPTION; /* leaves it out of the file */
	ret = save_if_concerned(m, source, err);
	e->source = source;
	if (ret < 0)
		return ret; /* what is not saved was not removed */
	snapshots_forget(m, id);
	migrate_forget(m, id);
	link_forget_export(m, id);
	exports_remove(&m->exports, id);
	return 0;
}

static int add_images(struct master *m, struct err *err)
{
	const struct opt_list *images = &m->options->imgfiles;

	for (size_t i = 0; i < images->count; i++) {
		const char *path = images->items[i];
		CLEANUP_FREE char *image = fs_absolute(path);
		int ret;

		if (!image || access(image, F_OK) < 0)
			ret = err_sys(err, image ? errno : EINVAL, "--imgfile %s", path);
		else
			ret = exports_add(&m->exports,
				&(struct export_spec){
					.name = path, .image = image, .source = EXPORT_FROM_OPTION},
				NULL, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int add_section(struct master *m, const struct conf_export *c, struct err *err)
{
	static const enum export_kind kinds[] = {[CONF_TARGET] = EXPORT_TARGET,
		[CONF_COW_TARGET] = EXPORT_COW,
		[CONF_PROXY] = EXPORT_PROXY};
	const struct export_spec spec = {.name = c->name,
		.image = c->mode == CONF_PROXY ? c->cache : c->image,
		.description = c->description,
		.kind = kinds[c->mode],
		.source = EXPORT_FROM_CONFIG,
		.readonly = c->readonly,
		.cow_dir = c->cow_dir,
		.bitmap = c->bitmap,
		.control = c->control,
		.uri = c->origin,
		.host = c->host,
		.port = c->port,
		.exportname = c->exportname};
	struct export_entry *e;
	struct err why = {0};
	int ret = exports_add(&m->exports, &spec, &e, &why);

	if (ret < 0)
		return err_set(err, why.code, "%s: %s", m->options->config, why.text);
	e->is_default = c->is_default;
	if (c->mode != CONF_PROXY && access(c->image, F_OK) < 0)
		log_warn("%s: export '%s': %s: %s; served once the file is there",
			m->options->config, c->name, c->image, strerror(errno));
	return 0;
}

static int add_configured(struct master *m, struct err *err)
{
	struct conf conf = {0};
	int ret = m->options->config ? conf_read(m->options->config, &conf, err) : 0;

	for (size_t i = 0; ret == 0 && i < conf.count; i++)
		ret = add_section(m, &conf.exports[i], err);
	conf_done(&conf);
	return ret;
}

/* Children. */

static void reap(struct master *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (!link_reaped(m, pid, status))
			worker_reaped(m, pid, status); /* or a probe, whose pipe said all */
	}
	if (m->ending && !m->workers)
		reactor_stop(&m->reactor);
}

/* Log files are opened anew, ours and the servers'. */
static void hang_up(struct master *m)
{
	log_reopen();
	for (struct worker *w = m->workers; w; w = w->next) {
		/* One that is starting may not listen for it yet, and would die. */
		if (w->pid > 0 && w->state != WORKER_STARTING && m->options->logpath)
			kill(w->pid, SIGHUP);
	}
	log_info("log files opened anew; reloading the configuration is not built yet");
}

static void on_signal(struct proc_signals *s, int number)
{
	struct master *m = container_of(s, struct master, signals);

	if (number == SIGCHLD)
		reap(m);
	else if (number == SIGHUP)
		hang_up(m);
	else if (number == SIGUSR1 || number == SIGUSR2)
		log_warn(
			"signal ignored; snapshots and switching are commands of xnbd-wrapper-ctl");
	else
		master_shutdown(m);
}

/* The ends. */

static void end_too_late(struct reactor_timer *t)
{
	struct master *m = container_of(t, struct master, end);

	log_error("some servers did not end in time; killed");
	for (struct worker *w = m->workers; w; w = w->next) {
		if (w->pid > 0)
			kill(w->pid, SIGKILL);
	}
	m->failed = true;
	reactor_stop(&m->reactor);
}

/* The negotiator closes its own, so nobody waits in vain. */
static void stop_listening(struct master *m)
{
	listen_remove_files(&m->listeners);
	listen_close(&m->listeners);
}

void master_shutdown(struct master *m)
{
	if (m->ending)
		return;
	log_info("shutting down");
	m->ending = true;
	link_stop(m);
	stop_listening(m);
	for (struct worker *w = m->workers, *next; w; w = next) {
		next = w->next;
		worker_stop(w); /* frees one that was not started yet */
	}
	m->end.fn = end_too_late;
	reactor_timer_set(&m->reactor, &m->end, END_MS);
	if (!m->workers)
		reactor_stop(&m->reactor);
}

void master_orphan(struct master *m)
{
	log_info("leaving; %u clients stay with their servers", m->client_count);
	m->ending = true;
	reactor_stop(&m->reactor);
}

/* Set-up. */

static void run_folder(const struct master *m, char out[FOLDER_MAX])
{
	snprintf(out, FOLDER_MAX, "%.*s.d", SOCK_UNIX_PATH_MAX, m->options->control);
}

/* The folder of the workers' control sockets; those nobody listens on any more are removed. */
static int make_run_folder(struct master *m, struct err *err)
{
	char folder[FOLDER_MAX];
	struct dirent *entry;
	DIR *d;

	run_folder(m, folder);
	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return err_sys(err, errno, "folder %s", folder);
	d = opendir(folder);
	if (!d)
		return err_sys(err, errno, "folder %s", folder);
	while ((entry = readdir(d))) {
		char path[FOLDER_MAX + NAME_MAX + 2];
		int fd;

		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		if (entry->d_name[0] != 'w' && entry->d_name[0] != 'p')
			continue;
		fd = sock_connect_unix(path, NULL);
		if (fd == -ECONNREFUSED)
			unlink(path);
		fd_close(&fd);
	}
	closedir(d);
	return 0;
}

static int open_control(struct master *m, struct err *err)
{
	int fd, ret = fs_make_folder_of(m->options->control, 0755, err);

	if (ret == 0 && strlen(m->options->control) + SOCKET_NAME_ROOM > SOCK_UNIX_PATH_MAX)
		ret = err_set(err, ENAMETOOLONG, "--socket %s: at most %d bytes",
			m->options->control, SOCK_UNIX_PATH_MAX - SOCKET_NAME_ROOM);
	if (ret < 0)
		return ret;
	fd = sock_listen_unix(m->options->control, 0600, err);
	if (fd < 0)
		return fd;
	ret = ctl_server_init(&m->ctl, &m->reactor, fd, &control_ops);
	if (ret < 0)
		return err_sys(err, -ret, "%s", m->options->control);
	return make_run_folder(m, err);
}

static int init_loop(struct master *m, struct err *err)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGCHLD, SIGHUP, SIGUSR1, SIGUSR2, 0};
	int ret = reactor_init(&m->reactor);

	if (ret == 0)
		ret = proc_signals_init(&m->signals, &m->reactor, signals, on_signal);
	m->began = m->reactor.now;
	m->probes.reactor = &m->reactor;
	return ret < 0 ? err_sys(err, -ret, "start") : 0;
}

int master_init(struct master *m, const struct wrapper_options *o, struct listeners *listeners,
	struct err *err)
{
	int ret;

	memset(m, 0, sizeof(*m));
	m->options = o;
	m->listeners = *listeners;
	m->ctl.fd = m->signals.fd = m->negotiator.fd = -1;
	if (o->server)
		snprintf(m->server, sizeof(m->server), "%s", o->server);
	else
		proc_sibling("xnbd-server", m->server, sizeof(m->server));
	ret = init_loop(m, err);
	if (ret == 0 && strchr(m->server, '/') && access(m->server, X_OK) < 0)
		ret = err_sys(err, errno, "--xnbd-server %s", m->server);
	if (ret == 0)
		ret = add_images(m, err);
	if (ret == 0)
		ret = add_configured(m, err);
	if (ret == 0)
		ret = open_control(m, err); /* before the state file: one wrapper a socket */
	if (ret == 0)
		ret = state_load(o->dbpath, &m->exports, err);
	if (ret == 0)
		ret = link_start(m, err);
	if (ret == 0) {
		proxy_start_copies(m);
		migrate_start_all(m);
	}
	return ret;
}

int master_run(struct master *m)
{
	int ret = reactor_run(&m->reactor);

	if (ret < 0)
		log_error("event loop: %s", strerror(-ret));
	return ret < 0 || m->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void remove_run_folder(const struct master *m)
{
	char folder[FOLDER_MAX];

	run_folder(m, folder);
	rmdir(folder); /* stays if orphaned workers have their sockets in it */
}

void master_done(struct master *m)
{
	m->ending = true;
	probe_end_all(&m->probes);
	relay_end_all(m);
	migrate_end_all(m);
	while (m->workers)
		worker_forget(m->workers);
	/* While it still listens: a successor that found it dead would lose its own files here. */
	if (m->ctl.fd >= 0) {
		remove_run_folder(m);
		unlink(m->options->control);
	}
	if (m->negotiator.fd >= 0)
		chan_done(&m->negotiator); /* it ends when its channel does */
	if (m->negotiator_pid > 0)
		waitpid(m->negotiator_pid, NULL, 0);
	ctl_server_done(&m->ctl);
	proc_signals_done(&m->signals);
	stop_listening(m);
	exports_done(&m->exports);
	reactor_done(&m->reactor);
}
