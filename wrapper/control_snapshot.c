/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshots by control commands.
 *
 *	snapshot       name [, to]     answers id, path, method and export (NAME@ID)
 *	snapshots      [name]          those that are exported
 *	drop-snapshot  name, id
 */
#include "control.h"
#include "master.h"
#include "relay.h"
#include "snapshots.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static uint64_t id_of(json_t *msg)
{
	json_int_t id = json_integer_value(json_object_get(msg, "id"));

	return id > 0 ? (uint64_t)id : 0;
}

static json_t *refuse(json_t *answer, const struct err *err)
{
	json_t *reply = json_pack("{s:b}", "ok", 0);
	const char *path = json_string_value(json_object_get(answer, "path"));
	char text[2 * ERR_TEXT_MAX];

	snprintf(text, sizeof(text), "the snapshot was taken (%s), but is not exported: %s",
		path ? path : "?", err->text);
	json_object_set_new(reply, "error", control_text(text));
	return reply;
}

static json_t *taken(struct asking *a, json_t *answer)
{
	const char *path = json_string_value(json_object_get(answer, "path"));
	const struct export_entry *e;
	struct err err = {0};
	json_t *reply;

	if (!json_is_true(json_object_get(answer, "ok")) || !path)
		return NULL;
	if (snapshots_add(a->master, a->export_id, id_of(answer), path, false, &err) < 0)
		return refuse(answer, &err);
	snapshots_set_size(a->master, a->export_id, id_of(answer),
		(uint64_t)json_integer_value(json_object_get(answer, "size")));
	e = snapshots_find(a->master, a->export_id, id_of(answer));
	reply = json_copy(answer);
	json_object_set_new(reply, "export", json_string(e->config.name));
	return reply;
}

static void do_snapshot(struct master *m, struct ctl_conn *c, json_t *msg)
{
	const struct export_entry *e = control_find(m, c, msg);
	const char *to = json_string_value(json_object_get(msg, "to"));
	struct err err = {0};
	json_t *request;

	if (!e)
		return;
	if (e->parent)
		err_set(&err, EINVAL, "'%.100s' is a snapshot itself", e->config.name);
	else if (to && *to != '/')
		err_set(&err, EINVAL, "snapshot: \"to\" must be an absolute path");
	else
		snapshots_check(m, e, &err);
	if (err.code) {
		ctl_send_error(c, err.text);
		return;
	}
	request = json_pack(
		"{s:s, s:I}", "cmd", "snapshot", "after", (json_int_t)snapshots_last(m, e->id));
	if (to)
		json_object_set_new(request, "to", json_string(to));
	control_ask(
		m, c, &(struct asking){.export_id = e->id, .msg = msg, .answered = taken}, request);
}

static json_t *describe(const struct master *m, const struct export_entry *e)
{
	const struct export_entry *parent = exports_by_id(&m->exports, e->parent);

	return json_pack("{s:s, s:I, s:s, s:o, s:s}", "name", parent->config.name, "id",
		(json_int_t)e->snapshot, "export", e->config.name, "path",
		control_text(e->config.image), "state", e->complete ? "complete" : "copying");
}

static void do_list(struct master *m, struct ctl_conn *c, json_t *msg)
{
	const struct export_entry *only = NULL;
	json_t *all, *reply;

	if (json_object_get(msg, "name") && !(only = control_find(m, c, msg)))
		return;
	all = json_array();
	for (size_t i = 0; i < m->exports.count; i++) {
		const struct export_entry *e = &m->exports.entries[i];

		if (e->parent && !e->newest && (!only || only->id == e->parent))
			json_array_append_new(all, describe(m, e));
	}
	reply = ctl_ok();
	json_object_set_new(reply, "snapshots", all);
	ctl_send(c, reply, -1);
}

static json_t *dropped(struct asking *a, json_t *answer)
{
	if (json_is_true(json_object_get(answer, "ok")))
		snapshots_remove(a->master, a->export_id, id_of(a->msg));
	return NULL;
}

/* The server that took it may have ended; then nobody but us has to forget it. */
static void do_drop(struct master *m, struct ctl_conn *c, json_t *msg)
{
	const struct export_entry *e = control_find(m, c, msg), *s;

	if (!e)
		return;
	s = snapshots_find(m, e->id, id_of(msg));
	if (!s) {
		ctl_send_error(c, "no such snapshot; see --snapshots");
	} else if (s->detached) {
		snapshots_remove(m, e->id, id_of(msg));
		ctl_send(c, ctl_ok(), -1);
	} else {
		control_ask(m, c,
			&(struct asking){.export_id = e->id, .msg = msg, .answered = dropped},
			json_pack("{s:s, s:I}", "cmd", "snapshot-drop", "id",
				(json_int_t)id_of(msg)));
	}
}

const struct control_command control_snapshot_commands[] = {
	{"snapshot", do_snapshot},
	{"snapshots", do_list},
	{"drop-snapshot", do_drop},
	{NULL, NULL},
};
