/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The old program's side of a handover; see handover.h. The document is written at the last moment,
 * so nothing it tells can change before the exec; if that fails, nothing has changed.
 */
#include "handover_inner.h"

#include "ipc.h"
#include "log.h"
#include "master.h"
#include "metrics_http.h"
#include "retired.h"
#include "rights.h"
#include "service.h"
#include "state.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

void handover_know_self(struct handover_self *self, char **argv)
{
	ssize_t n = readlink("/proc/self/exe", self->binary, sizeof(self->binary) - 1);

	self->argv = argv;
	self->binary[MAX_OF(n, (ssize_t)0)] = 0;
	if (!getcwd(self->folder, sizeof(self->folder)))
		self->folder[0] = 0;
}

/* The document. */

static void add_fd(json_t *doc, json_t *where, const char *key, int fd)
{
	json_object_set_new(where, key, json_integer(fd));
	if (fd >= 0)
		json_array_append_new(json_object_get(doc, "fds"), json_integer(fd));
}

static json_t *add_list(json_t *doc, const char *key)
{
	json_t *list = json_array();

	json_object_set_new(doc, key, list);
	return list;
}

static json_t *add_row(json_t *list)
{
	json_t *row = json_object();

	json_array_append_new(list, row);
	return row;
}

/* False: the path is no UTF-8, then it is left out. */
static bool set_path(json_t *row, const char *key, const char *path)
{
	return json_object_set_new(row, key, json_string(path)) == 0;
}

static void add_listeners(json_t *doc, const struct listeners *l)
{
	json_t *sockets = add_list(doc, "listeners"), *paths = add_list(doc, "paths");

	for (size_t i = 0; i < l->sockets.count; i++)
		add_fd(doc, add_row(sockets), "fd", l->sockets.fds[i]);
	for (size_t i = 0; i < l->path_count; i++)
		json_array_append_new(paths, json_string(l->paths[i]));
}

struct adding {
	json_t *doc, *list;
	const struct ctl_conn *asked;
};

static void add_negotiator(void *arg, pid_t pid, int fd)
{
	struct adding *a = arg;
	json_t *row = add_row(a->list);

	add_fd(a->doc, row, "fd", fd);
	json_object_set_new(row, "pid", json_integer(pid));
}

static void add_negotiators(json_t *doc, const struct master *m)
{
	struct adding a = {.doc = doc, .list = add_list(doc, "negotiators")};

	if (m->negotiator_pid > 0 && m->negotiator.fd >= 0)
		add_negotiator(&a, m->negotiator_pid, m->negotiator.fd);
	retired_each(m, add_negotiator, &a);
}

/* One in the middle of a line, or of an answer, cannot be handed on. */
static void add_conn(void *arg, struct ctl_conn *c)
{
	struct adding *a = arg;
	bool rests = !c->paused && !c->closing && !c->out && buf_len(&c->in) == 0;
	json_t *row;

	if (c->fd < 0 || (c != a->asked && !rests))
		return;
	row = add_row(a->list);
	add_fd(a->doc, row, "fd", c->fd);
	json_object_set_new(row, "asked", json_boolean(c == a->asked));
}

static void add_conns(json_t *doc, struct master *m, const struct ctl_conn *asked)
{
	struct adding a = {.doc = doc, .list = add_list(doc, "conns"), .asked = asked};

	ctl_server_each(&m->ctl, add_conn, &a);
}

static void add_snapshot(json_t *list, const struct master *m, const struct export_entry *e)
{
	const struct export_entry *parent = exports_by_id(&m->exports, e->parent);
	json_t *row = json_pack("{s:s, s:I, s:b, s:b, s:b}", "parent",
		parent ? parent->config.name : "", "id", (json_int_t)e->snapshot, "newest",
		e->newest, "complete", e->complete, "detached", e->detached);

	set_path(row, "parent_image", parent ? parent->config.image : "");
	if (set_path(row, "path", e->config.image))
		json_array_append(list, row);
	json_decref(row);
}

static void add_exports(json_t *doc, const struct master *m)
{
	json_t *rows = json_object(), *snapshots = add_list(doc, "snapshots");

	json_object_set_new(doc, "exports", rows);
	for (size_t i = 0; i < m->exports.count; i++) {
		const struct export_entry *e = &m->exports.entries[i];

		json_object_set_new(rows, e->config.name, handover_export(m, e));
		if (e->parent)
			add_snapshot(snapshots, m, e);
	}
	json_object_set_new(doc, "last_export", json_integer(m->exports.last_id));
}

static json_t *evicted_clients(const struct worker *w)
{
	json_t *all = json_array();

	for (const struct client *c = w->clients; c; c = c->next) {
		if (c->evicted)
			json_array_append_new(all, json_integer((json_int_t)c->id));
	}
	return all;
}

static json_t *describe_server(const struct master *m, const struct worker *w)
{
	const struct export_entry *e = exports_by_id(&m->exports, w->export_id);

	return json_pack("{s:s, s:I, s:s, s:i, s:o, s:b}", "name", w->export_name, "export",
		(json_int_t)w->export_id, "path", w->ctl_path, "pid", (int)w->pid, "evicted",
		evicted_clients(w), "changes", e && e->draining && e->next);
}

/* One that is held has not been started; whoever waits for it asks again. */
static void add_servers(json_t *doc, const struct master *m)
{
	json_t *all = add_list(doc, "servers");

	for (const struct worker *w = m->workers; w; w = w->next) {
		if (!w->held)
			json_array_append_new(all, describe_server(m, w));
	}
}

/* Peers that must not come back yet. */
static void add_evicted(json_t *doc, const struct master *m)
{
	json_t *all = add_list(doc, "evicted");

	for (size_t i = 0; i < ARRAY_LEN(m->evicted); i++) {
		const struct access_evicted *x = &m->evicted[i];

		if (x->until > m->reactor.now)
			json_array_append_new(all,
				json_pack("{s:I, s:s, s:I}", "export", (json_int_t)x->export_id,
					"host", x->host, "until", (json_int_t)x->until));
	}
}

/* Visits that are under way are cut; who comes meanwhile waits in the queue. */
static void add_metrics(json_t *doc, const struct master *m)
{
	const struct sock_list *sockets = metrics_http_sockets(m->http);
	json_t *metrics = json_object(), *fds = add_list(metrics, "fds");

	json_object_set_new(doc, "metrics", metrics);
	if (!sockets)
		return;
	set_path(metrics, "path", m->options->metrics);
	for (size_t i = 0; i < sockets->count; i++)
		add_fd(doc, add_row(fds), "fd", sockets->fds[i]);
}

/* One that was set by hand stays until the configuration has another one. */
static void add_log_level(json_t *doc, const struct master *m)
{
	json_object_update_new(doc,
		json_pack("{s:s, s:s}", "log_level", log_level_name(log_level_now()),
			"log_level_configured", m->options->log_level));
}

static void add_numbers(json_t *doc, const struct master *m)
{
	json_object_update_new(doc,
		json_pack("{s:i, s:i, s:s, s:I, s:i, s:I, s:I}", "handover", HANDOVER_VERSION,
			"ipc", IPC_VERSION, "version", XNBD_VERSION, "began", (json_int_t)m->began,
			"upgrades", (int)m->upgrades, "last_client", (json_int_t)m->last_client,
			"last_worker", (json_int_t)m->last_worker));
}

/* To be started with again, if the new one fails. */
static void add_argv(json_t *doc, char *const *argv)
{
	json_t *words = add_list(doc, "argv");

	for (; *argv; argv++) {
		if (json_array_append_new(words, json_string(*argv)) == 0)
			continue;
		json_object_del(doc, "argv"); /* not UTF-8 */
		return;
	}
}

static json_t *describe(struct master *m, int previous, const struct ctl_conn *asked)
{
	json_t *doc = json_pack("{s:[]}", "fds");
	json_t *control = json_object(), *claim = json_object();

	add_numbers(doc, m);
	set_path(doc, "folder", m->self->folder);
	set_path(doc, "run_folder", m->options->run_folder);
	add_fd(doc, doc, "previous", previous);
	add_argv(doc, m->self->argv);
	add_listeners(doc, &m->listeners);
	add_fd(doc, control, "fd", m->ctl.fd);
	set_path(control, "path", m->options->control);
	json_object_set_new(doc, "control", control);
	add_fd(doc, claim, "fd", m->claim);
	set_path(claim, "path", m->options->dbpath);
	json_object_set_new(doc, "claim", claim);
	add_negotiators(doc, m);
	add_conns(doc, m, asked);
	add_exports(doc, m);
	add_servers(doc, m);
	add_evicted(doc, m);
	add_metrics(doc, m);
	add_log_level(doc, m);
	return doc;
}

/* Handing it on. */

void handover_inherit(const json_t *doc, bool yes)
{
	json_t *fd;
	size_t i;

	json_array_foreach(json_object_get(doc, "fds"), i, fd)
		fcntl((int)json_integer_value(fd), F_SETFD, yes ? 0 : FD_CLOEXEC);
}

int handover_write(const json_t *doc)
{
	int fd = memfd_create("xnbd-wrapper", 0); /* to be inherited */
	char number[24];

	if (fd < 0)
		return -errno;
	if (json_dumpfd(doc, fd, JSON_COMPACT) < 0) {
		close(fd);
		return -ENOMEM;
	}
	snprintf(number, sizeof(number), "%d", fd);
	setenv(HANDOVER_VARIABLE, number, 1);
	handover_inherit(doc, true);
	return fd;
}

/* A folder that is gone matters only to paths that begin there. */
void handover_enter_folder(const char *folder)
{
	if (folder && *folder && chdir(folder) < 0)
		log_warn("folder %s, where the wrapper was started: %s", folder, strerror(errno));
}

static int run(struct master *m, const char *path)
{
	size_t count = 0;
	char **argv;
	int ret;

	while (m->self->argv[count])
		count++;
	argv = calloc(count + 1, sizeof(*argv));
	if (!argv)
		return -ENOMEM;
	memcpy(argv, m->self->argv, count * sizeof(*argv));
	argv[0] = (char *)(uintptr_t)path;
	execv(path, argv);
	ret = -errno;
	free(argv);
	return ret;
}

static int become(struct master *m, const char *path, const json_t *doc)
{
	int fd = handover_write(doc), ret;

	if (fd < 0)
		return fd;
	service_hand_on(m);
	handover_enter_folder(m->self->folder);
	ret = run(m, path);
	service_take_back(m);
	if (m->options->daemonize && chdir("/") < 0)
		log_warn("folder /: %s", strerror(errno));
	unsetenv(HANDOVER_VARIABLE);
	handover_inherit(doc, false);
	close(fd);
	return ret;
}

int handover_exec(struct master *m, const char *path, struct ctl_conn *asked, struct err *err)
{
	CLEANUP_FD int previous = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	json_t *doc = describe(m, previous, asked);
	int ret;

	log_info("becoming %s", path);
	ret = become(m, path, doc);
	json_decref(doc);
	return err_sys(err, -ret, "%s", path);
}

/* Looking before. */

static int check_state(const struct settings *s)
{
	struct exports table = {0};
	struct err err = {0};
	int ret = state_load(s->options.dbpath, &table, &err);

	exports_done(&table);
	if (ret < 0)
		log_error("%s", err.text);
	return ret;
}

/* There would be no way back. */
static int check_user(const struct settings *s)
{
	struct rights rights;
	struct err err = {0};
	int ret = rights_find(&s->options, &rights, &err);

	if (ret == 0 && rights.change && rights.user.uid != geteuid())
		ret = err_set(&err, EPERM,
			"user \"%.100s\": not by an upgrade; start the wrapper anew",
			s->options.user);
	if (ret < 0)
		log_error("%s", err.text);
	return ret;
}

int handover_check(const struct settings *s)
{
	if (check_user(s) < 0 || check_state(s) < 0)
		return EXIT_FAILURE;
	printf("handover %d ipc %d\n", HANDOVER_VERSION, IPC_VERSION);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int handover_checked(const char *text)
{
	const char *line = strstr(text, "handover ");
	int version, ipc;

	if (!line || sscanf(line, "handover %d ipc %d", &version, &ipc) != 2 || ipc < 0)
		return -1;
	return version == HANDOVER_VERSION ? ipc : -1;
}
