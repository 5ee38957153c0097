/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of control commands, and those about the wrapper itself and its list of exports.
 *
 *	list                       the exports
 *	status                     the wrapper itself
 *	save, shutdown, orphan
 */
#include "control.h"

#include "adopt.h"
#include "await.h"
#include "command.h"
#include "drain.h"
#include "export_settings.h"
#include "feature.h"
#include "log.h"
#include "master.h"
#include "migrate.h"
#include "reload.h"
#include "snapshots.h"
#include "state.h"
#include "str.h"
#include "upgrade.h"
#include "util.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static struct master *master_of(struct ctl_server *s)
{
	return container_of(s, struct master, ctl);
}

void control_answer(struct ctl_conn *c, int ret, const struct err *err)
{
	if (ret < 0)
		ctl_send_error(c, err->text);
	else
		ctl_send(c, ctl_ok(), -1);
}

struct export_entry *control_find(struct master *m, struct ctl_conn *c, json_t *msg)
{
	const char *name = json_string_value(json_object_get(msg, "name"));
	struct export_entry *e = name ? exports_by_name(&m->exports, name) : NULL;

	if (!e)
		ctl_send_error(c, name ? "no such export; see --list" : "a \"name\" is needed");
	return e;
}

json_t *control_text(const char *bytes)
{
	json_t *text = json_string(bytes);
	char printable[PATH_MAX];

	if (text)
		return text;
	str_printable(printable, sizeof(printable), bytes, strlen(bytes));
	return json_string(printable);
}

static json_t *clients_of(const struct master *m, const struct worker *w, uint64_t snapshot)
{
	json_t *list = json_array();

	for (const struct client *c = w ? w->clients : NULL; c; c = c->next) {
		char features[FEATURE_TEXT_MAX];

		if (c->snapshot != snapshot)
			continue;
		feature_format(&c->features, features);
		json_array_append_new(list,
			json_pack("{s:s, s:I, s:s}", "peer", c->peer.name, "seconds",
				(json_int_t)((m->reactor.now - c->since) / 1000), "features",
				features));
	}
	return list;
}

static void set_text(json_t *object, const char *key, const char *text)
{
	if (text)
		json_object_set_new(object, key, control_text(text));
}

static void describe_proxy(json_t *entry, const struct export_entry *e, const struct worker *w)
{
	static const char *const copies[] = {
		[EXPORT_COPY_NONE] = "none",
		[EXPORT_COPY_RUNNING] = "running",
		[EXPORT_COPY_PAUSED] = "paused",
	};
	CLEANUP_FREE char *origin = exports_origin_text(e);

	set_text(entry, "origin", origin);
	set_text(entry, "bitmap", e->config.bitmap);
	set_text(entry, "control",
		e->config.control ? e->config.control
			: w       ? w->proxy_path
				  : NULL);
	set_text(entry, "copy", copies[e->copy]);
}

static void describe_snapshot(const struct master *m, json_t *entry, const struct export_entry *e)
{
	const struct export_entry *parent = exports_by_id(&m->exports, e->parent);

	set_text(entry, "snapshot_of", parent ? parent->config.name : "");
	json_object_set_new(entry, "snapshot_id", json_integer((json_int_t)e->snapshot));
}

static void describe_server(const struct master *m, json_t *entry, const struct export_entry *e)
{
	uint32_t id = snapshots_server(e);
	const struct worker *w = worker_for((struct master *)(uintptr_t)m, id);

	if (e->config.kind == EXPORT_PROXY)
		describe_proxy(entry, e, w);
	if (w && w->state == WORKER_READY) {
		uint64_t size = id == e->id ? w->facts.size : e->size;

		json_object_set_new(entry, "size", json_integer((json_int_t)size));
		json_object_set_new(entry, "pid", json_integer(w->pid));
	}
	json_object_set_new(entry, "clients", clients_of(m, w, id == e->id ? 0 : e->snapshot));
}

/* What is not as it should be, or not for long. */
static void describe_trouble(const struct master *m, json_t *entry, const struct export_entry *e)
{
	uint64_t left = backoff_left(&e->backoff, m->reactor.now);

	if (e->draining)
		json_object_set_new(entry, "draining", json_string(e->next ? "changes" : "goes"));
	if (!e->trouble[0])
		return;
	set_text(entry, "error", e->trouble);
	json_object_set_new(entry, "retry_seconds", json_integer((json_int_t)(left + 999) / 1000));
}

static json_t *describe(const struct master *m, const struct export_entry *e)
{
	json_t *migration = migrate_describe(m, e), *settings = export_settings_write(&e->config);
	json_t *entry = json_pack("{s:i, s:s, s:s, s:o, s:b, s:b, s:s}", "index", (int)e->id,
		"name", e->config.name, "mode", export_config_mode(command_kind(m->options, e)),
		"image", control_text(e->config.image), "readonly", master_readonly(m, e),
		"default", e->config.is_default, "source", exports_source_name(e->config.source));

	if (e->config.description)
		json_object_set_new(entry, "description", json_string(e->config.description));
	if (*e->serial)
		json_object_set_new(entry, "serial", json_string(e->serial));
	if (json_object_size(settings) > 0)
		json_object_set(entry, "settings", settings);
	json_decref(settings);
	if (e->parent)
		describe_snapshot(m, entry, e);
	if (migration)
		json_object_set_new(entry, "migration", migration);
	describe_server(m, entry, e);
	describe_trouble(m, entry, e);
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

static json_t *migrations(const struct master *m)
{
	json_t *all = json_array();

	for (size_t i = 0; i < m->exports.count; i++) {
		json_t *one = migrate_describe(m, &m->exports.entries[i]);

		if (!one)
			continue;
		json_object_set_new(one, "name", json_string(m->exports.entries[i].config.name));
		json_array_append_new(all, one);
	}
	return all;
}

static unsigned count_draining(const struct master *m)
{
	unsigned n = 0;

	for (size_t i = 0; i < m->exports.count; i++)
		n += m->exports.entries[i].draining;
	return n;
}

static void do_status(struct master *m, struct ctl_conn *c, json_t *msg)
{
	json_t *reply = ctl_ok();

	(void)msg;
	json_object_update_new(reply,
		json_pack("{s:s, s:i, s:i, s:I, s:i, s:i, s:i, s:o, s:s, s:o}", "version",
			XNBD_VERSION, "pid", (int)getpid(), "negotiator_pid",
			(int)m->negotiator_pid, "seconds",
			(json_int_t)((m->reactor.now - m->began) / 1000), "exports",
			(int)m->exports.count, "servers", (int)count_workers(m), "clients",
			(int)m->client_count, "listening", listening_on(m), "state_file",
			m->options->dbpath, "migrations", migrations(m)));
	json_object_set_new(reply, "draining", json_integer(count_draining(m)));
	json_object_set_new(reply, "upgrades", json_integer(m->upgrades));
	json_object_set_new(reply, "apart", adopt_describe(m));
	json_object_set_new(reply, "log_level", json_string(log_level_name(log_level_now())));
	if (m->options->metrics)
		json_object_set_new(reply, "metrics", json_string(m->options->metrics));
	ctl_send(c, reply, -1);
}

static void do_save(struct master *m, struct ctl_conn *c, json_t *msg)
{
	struct err err = {0};
	int ret = state_save(m->options->dbpath, &m->exports, &err);

	(void)msg;
	control_answer(c, ret, &err);
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

static const struct control_command own_commands[] = {
	{"list", do_list},
	{"status", do_status},
	{"save", do_save},
	{"shutdown", do_shutdown},
	{"orphan", do_orphan},
	{NULL, NULL},
};

static const struct control_command *const tables[] = {own_commands, control_add_commands,
	control_change_commands, control_bgctl_commands, control_clients_commands,
	control_stats_commands, control_snapshot_commands, control_migrate_commands,
	upgrade_commands};

static const struct control_command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		for (const struct control_command *c = tables[i]; c->name; c++) {
			if (strcmp(c->name, name) == 0)
				return c;
		}
	}
	return NULL;
}

static void refuse_unknown(struct ctl_conn *c)
{
	char text[2 * ERR_TEXT_MAX];
	size_t len = (size_t)snprintf(text, sizeof(text), "unknown command; this wrapper knows");

	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		for (const struct control_command *k = tables[i]; k->name; k++)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s %s",
				i || k != tables[0] ? "," : "", k->name);
	}
	ctl_send_error(c, text);
}

static void request(struct ctl_server *s, struct ctl_conn *c, json_t *msg, int fd)
{
	const char *cmd = ctl_command(c, msg);
	const struct control_command *found = cmd ? find_command(cmd) : NULL;

	fd_close(&fd);
	if (found)
		found->fn(master_of(s), c, msg);
	else if (cmd)
		refuse_unknown(c);
}

static void client_gone(struct ctl_server *s, struct ctl_conn *c)
{
	control_add_gone(master_of(s), c);
	control_ask_gone(master_of(s), c);
	control_clients_gone(master_of(s), c);
	reload_gone(master_of(s), c);
	await_gone(master_of(s), c);
	control_stats_gone(master_of(s), c);
	upgrade_gone(master_of(s), c);
}

const struct ctl_server_ops control_ops = {.request = request, .gone = client_gone};
