/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Migrations by control commands.
 *
 *	migrate-in      name, uri [, rate, cache, bitmap, control, verify, hook]
 *	migrate-abort   name
 *	migrate-status  [name]
 */
#include "control.h"
#include "master.h"
#include "migrate.h"
#include "relay.h"
#include "util.h"

#include <string.h>

static const char *text_of(json_t *msg, const char *key)
{
	return json_string_value(json_object_get(msg, key));
}

static bool is_relative(const char *path)
{
	return path && *path != '/';
}

static void do_begin(struct master *m, struct ctl_conn *c, json_t *msg)
{
	json_int_t rate = json_integer_value(json_object_get(msg, "rate"));
	const struct migrate_wish wish = {.name = text_of(msg, "name"),
		.uri = text_of(msg, "uri"),
		.cache = text_of(msg, "cache"),
		.bitmap = text_of(msg, "bitmap"),
		.control = text_of(msg, "control"),
		.hook = text_of(msg, "hook"),
		.rate = rate > 0 ? (uint64_t)rate : 0,
		.verify = json_is_true(json_object_get(msg, "verify"))};
	struct err err = {0};
	json_t *reply;

	if (!wish.name || !wish.uri || is_relative(wish.cache) || is_relative(wish.bitmap) ||
		is_relative(wish.control)) {
		ctl_send_error(c, "migrate-in: needs a name, a uri, and absolute paths");
		return;
	}
	if (migrate_begin(m, &wish, &err) < 0) {
		ctl_send_error(c, err.text);
		return;
	}
	reply = ctl_ok();
	json_object_set_new(reply, "text",
		json_string("clients may connect; the data is fetched in the background, "
			    "--migrate-status shows how far it is"));
	ctl_send(c, reply, -1);
}

static const char aborted[] =
	"the copy is stopped; the export stays a proxy: clients go on, what they write is kept in the "
	"cache, and the origin is still needed. Go on with --migrate-in and the same URI, or give up "
	"with --remove-by-exportname";

static json_t *stopped(struct asking *a, json_t *answer)
{
	json_t *reply = ctl_ok();

	(void)a;
	(void)answer; /* nothing to pause: as well */
	json_object_set_new(reply, "text", json_string(aborted));
	return reply;
}

static void do_abort(struct master *m, struct ctl_conn *c, json_t *msg)
{
	const struct export_entry *e = control_find(m, c, msg);
	const struct worker *w = e ? worker_for(m, e->id) : NULL;
	struct err err = {0};

	if (!e)
		return;
	if (migrate_abort(m, e->config.name, &err) < 0)
		ctl_send_error(c, err.text);
	else if (w)
		control_ask(m, c,
			&(struct asking){.export_id = e->id, .msg = msg, .answered = stopped},
			json_pack("{s:s}", "cmd", "pause"));
	else
		ctl_send(c, stopped(NULL, NULL), -1);
}

static void add_one(const struct master *m, const struct export_entry *e, json_t *all)
{
	json_t *one = migrate_describe(m, e);

	if (!one)
		return;
	json_object_set_new(one, "name", json_string(e->config.name));
	json_array_append_new(all, one);
}

static void do_status(struct master *m, struct ctl_conn *c, json_t *msg)
{
	const struct export_entry *only = NULL;
	json_t *all, *reply;

	if (json_object_get(msg, "name") && !(only = control_find(m, c, msg)))
		return;
	all = json_array();
	for (size_t i = 0; i < m->exports.count; i++) {
		if (!only || only == &m->exports.entries[i])
			add_one(m, &m->exports.entries[i], all);
	}
	reply = ctl_ok();
	json_object_set_new(reply, "migrations", all);
	ctl_send(c, reply, -1);
}

const struct control_command control_migrate_commands[] = {
	{"migrate-in", do_begin},
	{"migrate-abort", do_abort},
	{"migrate-status", do_status},
	{NULL, NULL},
};
