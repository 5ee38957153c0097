/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Start, run and end of the master. Two ends: shutdown (clients are ended between requests,
 * every worker exits, then we) and orphan (we go, workers stay with their clients).
 */
#include "master.h"

#include "adopt.h"
#include "await.h"
#include "claim.h"
#include "command.h"
#include "config.h"
#include "control.h"
#include "drain.h"
#include "fsutil.h"
#include "gather.h"
#include "handover.h"
#include "log.h"
#include "metrics_http.h"
#include "migrate.h"
#include "proxy.h"
#include "relay.h"
#include "reload.h"
#include "resize.h"
#include "retired.h"
#include "rights.h"
#include "serial.h"
#include "settle.h"
#include "snapshots.h"
#include "state.h"
#include "upgrade.h"
#include "util.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { END_MS = 20 * 1000, SOCKET_NAME_ROOM = 32 };

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

/* For a serial that was made up. Without it, it will be another one after the next start. */
static void save_serials(struct master *m)
{
	struct err err;

	if (state_save(m->options->dbpath, &m->exports, &err) < 0)
		log_warn("the serial of an export is not kept: %s", err.text);
}

void master_settle_serial(struct master *m, uint32_t id)
{
	struct export_entry *e = exports_by_id(&m->exports, id);
	bool made = false;

	if (e && serial_settle(&m->exports, e, &made))
		link_send_export(m, e);
	if (made)
		save_serials(m);
}

static void settle_serials(struct master *m)
{
	bool made = false;

	for (size_t i = 0; i < m->exports.count; i++)
		serial_settle(&m->exports, &m->exports.entries[i], &made);
	if (made)
		save_serials(m);
}

int master_export_added(struct master *m, struct export_entry *e, struct err *err)
{
	uint32_t id = e->id;
	bool made = false;
	int ret;

	serial_settle(&m->exports, e, &made);
	ret = save_if_concerned(m, e->config.source, err);
	if (ret < 0) {
		exports_remove(&m->exports, id); /* what is not saved was not added */
		return ret;
	}
	link_send_export(m, e);
	if (made && e->config.source != EXPORT_FROM_STATE)
		save_serials(m);
	return 0;
}

int master_export_remove(struct master *m, uint32_t id, struct err *err)
{
	struct export_entry *e = exports_by_id(&m->exports, id);
	enum export_source source;
	int ret;

	if (!e)
		return err_set(err, ENOENT, "no export has index %u", id);
	source = e->config.source;
	e->config.source = EXPORT_FROM_OPTION; /* leaves it out of the file */
	ret = save_if_concerned(m, source, err);
	e->config.source = source;
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
				&(struct export_config){
					.name = path, .image = image, .source = EXPORT_FROM_OPTION},
				NULL, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int add_section(struct master *m, const struct export_config *c, struct err *err)
{
	struct err why = {0};
	int ret = exports_add(&m->exports, c, NULL, &why);

	if (ret < 0)
		return err_set(err, why.code, "%s: %s", m->options->config, why.text);
	if (c->kind != EXPORT_PROXY && access(c->image, F_OK) < 0)
		log_export(LOG_LEVEL_WARN, c->name, "%s: %s; served once the file is there",
			c->image, strerror(errno));
	return 0;
}

static int add_configured(struct master *m, const struct config *config, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < config->count; i++) {
		struct export_config c = config->exports[i]; /* borrows all of it */

		c.source = EXPORT_FROM_CONFIG;
		ret = add_section(m, &c, err);
	}
	return ret;
}

/* What the table is made of, besides the state file. Rules about all peers are zero without a file.
 */
static int take_config(struct master *m, const struct config *config, struct err *err)
{
	int ret = add_images(m, err);

	if (ret == 0)
		ret = add_configured(m, config, err);
	if (ret == 0 &&
		(peers_copy(&m->allow, &config->wrapper.allow) < 0 ||
			peers_copy(&m->deny, &config->wrapper.deny) < 0))
		ret = err_set(err, ENOMEM, "out of memory");
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

/* Log files are opened anew, ours and the servers', and the configuration is read. */
static void hang_up(struct master *m)
{
	const struct reload_wish wish = {.way = PLAN_REFUSE};

	log_reopen();
	for (struct worker *w = m->workers; w; w = w->next) {
		/* One that is starting may not listen for it yet, and would die. */
		if (w->state != WORKER_STARTING && m->options->logpath)
			worker_signal(w, SIGHUP);
	}
	log_info("log files opened anew");
	reload_start(m, NULL, &wish);
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
	for (struct worker *w = m->workers; w; w = w->next)
		worker_signal(w, SIGKILL);
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
	service_stopping(m, "shutting down, requests in flight are finished");
	m->ending = true;
	settle_open(m);
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
	service_stopping(m, "leaving, the servers stay");
	m->ending = true;
	settle_open(m);
	reactor_stop(&m->reactor);
}

/* Set-up. */

/* The folder of the workers' control sockets. */
static int make_run_folder(struct master *m, const struct rights *rights, struct err *err)
{
	const char *folder = m->options->run_folder;
	int ret = rights_make_folder_of(rights, folder, 0755, err);

	return ret < 0 ? ret : rights_make_folder(rights, folder, 0700, err);
}

static int check_lengths(const struct wrapper_options *o, struct err *err)
{
	static const int max = SOCK_UNIX_PATH_MAX - SOCKET_NAME_ROOM;

	if (strlen(o->control) > (size_t)max)
		return err_set(
			err, ENAMETOOLONG, "control socket %s: at most %d bytes", o->control, max);
	if (strlen(o->run_folder) > (size_t)max + 2)
		return err_set(err, ENAMETOOLONG,
			"folder %s, for the sockets of servers: at most %d bytes", o->run_folder,
			max + 2);
	return 0;
}

/* One wrapper a socket. */
static int open_control(struct master *m, const struct rights *rights,
	const struct handover *before, struct err *err)
{
	const char *path = m->options->control;
	int fd = handover_control(before, path), ret = check_lengths(m->options, err);
	bool given = fd >= 0;

	if (ret == 0 && !given)
		ret = rights_make_folder_of(rights, path, 0755, err);
	if (ret < 0)
		return ret;
	if (!given)
		fd = sock_listen_unix(path, 0600, err);
	if (fd < 0)
		return fd;
	ret = ctl_server_init(&m->ctl, &m->reactor, fd, &control_ops);
	if (ret < 0)
		return err_sys(err, -ret, "%s", path);
	m->ctl.gate = &m->gate;
	if (rights->shared)
		ctl_server_share(&m->ctl, rights->group);
	ret = given ? 0 : rights_share(rights, path, err);
	return ret < 0 ? ret : make_run_folder(m, rights, err);
}

/* One wrapper a state file. */
static int claim_state(struct master *m, const struct handover *before, struct err *err)
{
	int fd = handover_claim(before, m->options->dbpath);

	err->code = 0;
	if (fd < 0)
		fd = claim_file(m->options->dbpath, err);
	m->claim = fd;
	return fd < 0 && err->code ? fd : 0;
}

static int open_metrics(struct master *m, const struct handover *before, struct err *err)
{
	const char *place = m->options->metrics;
	struct sock_list given;

	if (!place)
		return 0;
	handover_metrics(before, place, &given);
	return metrics_http_start(m, place, &given, &m->http, err);
}

/* With everything open, as the user. */
static int open_folders(struct master *m, const struct handover *before, struct err *err)
{
	struct rights rights;
	int ret = rights_find(m->options, &rights, err);

	if (ret == 0)
		ret = open_control(m, &rights, before, err);
	if (ret == 0)
		ret = open_metrics(m, before, err);
	if (ret == 0)
		ret = rights_become(&rights, m->options, err);
	return ret < 0 ? ret : claim_state(m, before, err);
}

/* Servers that are there already, and negotiators with half a handshake. */
static int take_over(struct master *m, const struct handover *before, struct err *err)
{
	const char *folder = handover_folder(before);
	json_t *known = handover_servers(before);
	int ret;

	handover_restore(before, m);
	ret = adopt_all(m, m->options->run_folder, known, err);
	if (ret == 0 && folder && strcmp(folder, m->options->run_folder) != 0)
		ret = adopt_all(m, folder, known, err);
	if (ret < 0)
		return ret;
	access_enforce(m);
	drain_client_left(m); /* the last one, while nobody listened */
	ret = handover_link(before, m);
	return ret < 0 ? err_sys(err, -ret, "negotiator") : 0;
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

void master_set_server(struct master *m)
{
	if (m->options->server)
		snprintf(m->server, sizeof(m->server), "%s", m->options->server);
	else
		proc_sibling("xnbd-server", m->server, sizeof(m->server));
}

int master_init(struct master *m, const struct settings *s, struct listeners *listeners,
	const struct handover *before, struct err *err)
{
	const struct wrapper_options *o = &s->options;
	int ret;

	memset(m, 0, sizeof(*m));
	m->options = o;
	m->settings = s;
	m->listeners = *listeners;
	m->ctl.fd = m->signals.fd = m->negotiator.fd = m->claim = -1;
	service_init(m);
	master_set_server(m);
	ret = init_loop(m, err);
	if (ret == 0 && strchr(m->server, '/') && access(m->server, X_OK) < 0)
		ret = err_sys(err, errno, "--xnbd-server %s", m->server);
	if (ret == 0)
		ret = take_config(m, &s->config, err);
	if (ret == 0)
		ret = open_folders(m, before, err);
	if (ret == 0)
		ret = state_load(o->dbpath, &m->exports, err);
	if (ret == 0)
		ret = take_over(m, before, err);
	if (ret == 0) {
		settle_serials(m);
		ret = link_start(m, err);
	}
	if (ret == 0) {
		handover_retire(before, m);
		proxy_start_copies(m);
		migrate_start_all(m);
		resize_poll(m);
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

void master_done(struct master *m)
{
	m->ending = true;
	settle_open(m);
	upgrade_end(m);
	reload_end(m);
	await_end(m);
	probe_end_all(&m->probes);
	relay_end_all(m);
	metrics_http_end(m->http);
	m->http = NULL;
	gather_end_all(m);
	migrate_end_all(m);
	control_clients_end(m);
	while (m->workers)
		worker_forget(m->workers);
	fd_close(&m->claim);
	/* While it still listens: a successor that found it dead would lose its own files here. */
	if (m->ctl.fd >= 0) {
		rmdir(m->options->run_folder); /* stays if orphaned workers have sockets in it */
		unlink(m->options->control);
	}
	if (m->negotiator.fd >= 0)
		chan_done(&m->negotiator); /* it ends when its channel does */
	if (m->negotiator_pid > 0)
		waitpid(m->negotiator_pid, NULL, 0);
	retired_end_all(m);
	ctl_server_done(&m->ctl);
	service_done(m);
	proc_signals_done(&m->signals);
	stop_listening(m);
	exports_done(&m->exports);
	drain_end(m);
	resize_end(m);
	reactor_done(&m->reactor);
	if (m->reread)
		settings_done(m->reread);
	free(m->reread);
}
