/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control commands of the wrapper, a row each in `commands`.
 *
 *	list                                   the exports
 *	status                                 the wrapper itself
 *	add-target  name, file [, readonly, description]
 *	remove      name | file | index
 *	save, shutdown, orphan
 */
#include "master.h"

#include "feature.h"
#include "log.h"
#include "probe.h"
#include "state.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

static struct master *master_of(struct ctl_server *s)
{
	return container_of(s, struct master, ctl);
}

static void answer(struct ctl_conn *c, int ret, const struct err *err)
{
	if (ret < 0)
		ctl_send_error(c, err->text);
	else
		ctl_send(c, ctl_ok(), -1);
}

static json_t *clients_of(const struct master *m, const struct worker *w)
{
	json_t *list = json_array();

	for (const struct client *c = w ? w->clients : NULL; c; c = c->next) {
		char features[FEATURE_TEXT_MAX];

		feature_format(&c->features, features);
		json_array_append_new(list,
			json_pack("{s:s, s:I, s:s}", "peer", c->peer.name, "seconds",
				(json_int_t)((m->reactor.now - c->since) / 1000), "features",
				features));
	}
	return list;
}

/* File names are bytes, JSON is UTF-8: what is not is shown as \xNN. */
static json_t *path_of(const struct export_entry *e)
{
	json_t *path = json_string(e->image);
	char text[PATH_MAX];

	if (path)
		return path;
	str_printable(text, sizeof(text), e->image, strlen(e->image));
	return json_string(text);
}

static json_t *describe(const struct master *m, const struct export_entry *e)
{
	const struct worker *w = worker_for((struct master *)(uintptr_t)m, e->id);
	json_t *entry = json_pack("{s:i, s:s, s:s, s:o, s:b, s:b, s:s}", "index", (int)e->id,
		"name", e->name, "mode", "target", "image", path_of(e), "readonly",
		master_readonly(m, e), "default", e->is_default, "source",
		exports_source_name(e->source));

	if (e->description)
		json_object_set_new(entry, "description", json_string(e->description));
	if (w && w->state == WORKER_READY) {
		json_object_set_new(entry, "size", json_integer((json_int_t)w->facts.size));
		json_object_set_new(entry, "pid", json_integer(w->pid));
	}
	json_object_set_new(entry, "clients", clients_of(m, w));
	return entry;
}

static void do_list(struct master *m, struct ctl_conn *c, json_t *msg)
{
	json_t *all = json_array(), *reply = ctl_ok();

	(void)msg;
	for (size_t i = 0; i < m->exports.count; i++)
		json_array_append_new(all, describe(m, &m->exports.entries[i]));
	json_object_set_new(reply, "exports", all);
	ctl_send(c, reply, -1);
}

static unsigned count_workers(const struct master *m)
{
	unsigned n = 0;

	for (const struct worker *w = m->workers; w; w = w->next)
		n++;
	return n;
}

static json_t *listening_on(const struct master *m)
{
	json_t *list = json_array();

	for (size_t i = 0; i < m->listeners.sockets.count; i++) {
		char name[SOCK_NAME_MAX];

		sock_local_name(m->listeners.sockets.fds[i], name, sizeof(name));
		json_array_append_new(list, json_string(name));
	}
	return list;
}

static void do_status(struct master *m, struct ctl_conn *c, json_t *msg)
{
	json_t *reply = ctl_ok();

	(void)msg;
	json_object_update_new(reply,
		json_pack("{s:s, s:i, s:i, s:I, s:i, s:i, s:i, s:o, s:s}", "version", XNBD_VERSION,
			"pid", (int)getpid(), "negotiator_pid", (int)m->negotiator_pid, "seconds",
			(json_int_t)((m->reactor.now - m->began) / 1000), "exports",
			(int)m->exports.count, "servers", (int)count_workers(m), "clients",
			(int)m->client_count, "listening", listening_on(m), "state_file",
			m->options->dbpath));
	ctl_send(c, reply, -1);
}

/* Adding waits for a probe of the file; the connection is paused meanwhile, and may go away. */
struct addition {
	struct master *master;
	struct ctl_conn *conn; /* NULL: gone */
	json_t *msg;
	struct addition *next;
};

static int add_now(struct master *m, json_t *msg, const struct probe_result *found, struct err *err)
{
	struct export_entry *e;
	int ret;

	if (found->code)
		return err_set(err, found->code, "%s", found->text);
	ret = exports_add(&m->exports, json_string_value(json_object_get(msg, "name")),
		json_string_value(json_object_get(msg, "file")),
		json_string_value(json_object_get(msg, "description")),
		json_is_true(json_object_get(msg, "readonly")), EXPORT_FROM_STATE, &e, err);
	return ret < 0 ? ret : master_export_added(m, e, err);
}

static void unlink_addition(struct addition *a)
{
	struct addition **p = &a->master->additions;

	while (*p != a)
		p = &(*p)->next;
	*p = a->next;
	json_decref(a->msg);
	free(a);
}

static void probed(void *arg, const struct probe_result *found)
{
	struct addition *a = arg;
	struct ctl_conn *c = a->conn;
	struct err err = {0};
	int ret;

	if (c) {
		ret = add_now(a->master, a->msg, found, &err);
		answer(c, ret, &err);
	}
	unlink_addition(a);
	if (c)
		ctl_resume(c);
}

static void client_gone(struct ctl_server *s, struct ctl_conn *c)
{
	for (struct addition *a = master_of(s)->additions; a; a = a->next) {
		if (a->conn == c)
			a->conn = NULL;
	}
}

static void do_add(struct master *m, struct ctl_conn *c, json_t *msg)
{
	const char *file = json_string_value(json_object_get(msg, "file"));
	bool readonly = m->options->readonly || json_is_true(json_object_get(msg, "readonly"));
	struct addition *a;

	if (!file || file[0] != '/' || !json_string_value(json_object_get(msg, "name"))) {
		ctl_send_error(c, "add-target: needs a name and a file with an absolute path");
		return;
	}
	a = malloc(sizeof(*a));
	if (!a || !probe_start(&m->probes, file, readonly, probed, a)) {
		free(a);
		ctl_send_error(c, "add-target: out of memory or processes");
		return;
	}
	*a = (struct addition){m, c, json_incref(msg), m->additions};
	m->additions = a;
	ctl_pause(c);
}

static const struct export_entry *find_entry(const struct master *m, json_t *msg)
{
	const char *name = json_string_value(json_object_get(msg, "name"));
	const char *file = json_string_value(json_object_get(msg, "file"));
	json_int_t index = json_integer_value(json_object_get(msg, "index"));

	if (name)
		return exports_by_name(&m->exports, name);
	if (file)
		return exports_by_image(&m->exports, file);
	return index > 0 && index <= UINT32_MAX ? exports_by_id(&m->exports, (uint32_t)index)
						: NULL;
}

static void do_remove(struct master *m, struct ctl_conn *c, json_t *msg)
{
	const struct export_entry *e = find_entry(m, msg);
	struct err err = {0};
	int ret = e ? master_export_remove(m, e->id, &err)
		    : err_set(&err, ENOENT, "no such export; see --list");

	answer(c, ret, &err);
}

static void do_save(struct master *m, struct ctl_conn *c, json_t *msg)
{
	struct err err = {0};
	int ret = state_save(m->options->dbpath, &m->exports, &err);

	(void)msg;
	answer(c, ret, &err);
}

static void do_shutdown(struct master *m, struct ctl_conn *c, json_t *msg)
{
	(void)msg;
	ctl_send(c, ctl_ok(), -1);
	master_shutdown(m);
}

static void do_orphan(struct master *m, struct ctl_conn *c, json_t *msg)
{
	(void)msg;
	ctl_send(c, ctl_ok(), -1);
	master_orphan(m);
}

static const struct {
	const char *name;
	void (*fn)(struct master *m, struct ctl_conn *c, json_t *msg);
} commands[] = {
	{"list", do_list},
	{"status", do_status},
	{"add-target", do_add},
	{"remove", do_remove},
	{"save", do_save},
	{"shutdown", do_shutdown},
	{"orphan", do_orphan},
};

static void request(struct ctl_server *s, struct ctl_conn *c, json_t *msg, int fd)
{
	const char *cmd = ctl_command(c, msg);

	fd_close(&fd);
	for (size_t i = 0; cmd && i < ARRAY_LEN(commands); i++) {
		if (strcmp(cmd, commands[i].name) == 0) {
			commands[i].fn(master_of(s), c, msg);
			return;
		}
	}
	if (cmd)
		ctl_send_error(c,
			"unknown command; this wrapper knows list, status, add-target, remove, save, shutdown, orphan");
}

const struct ctl_server_ops control_ops = {.request = request, .gone = client_gone};
