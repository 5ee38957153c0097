/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changes of what is served.
 *
 *	reload  [dry_run] [force | when_idle]           the configuration file is read again
 *	resize  name [, force]                          its image is as long as it is
 *	remove  name | file | index [, force | when_idle]
 *
 * Without force and when_idle, a reload that would end clients is refused, and one that is removed
 * leaves its clients with their server.
 */
#include "await.h"
#include "change.h"
#include "control.h"
#include "drain.h"
#include "log.h"
#include "master.h"
#include "reload.h"
#include "resize.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>

/* 0 or -EINVAL. */
static int read_way(json_t *msg, enum plan_way *ret, struct err *err)
{
	bool force = json_is_true(json_object_get(msg, "force"));
	bool when_idle = json_is_true(json_object_get(msg, "when_idle"));

	if (force && when_idle)
		return err_set(err, EINVAL, "force and when_idle exclude each other");
	*ret = force ? PLAN_FORCE : when_idle ? PLAN_WAIT : PLAN_REFUSE;
	return 0;
}

static void do_reload(struct master *m, struct ctl_conn *c, json_t *msg)
{
	struct reload_wish wish = {.dry_run = json_is_true(json_object_get(msg, "dry_run"))};
	struct err err;

	if (read_way(msg, &wish.way, &err) < 0)
		ctl_send_error(c, err.text);
	else
		reload_start(m, c, &wish);
}

/* resize */

static void describe_size(json_t *reply, const struct export_entry *e)
{
	json_int_t old = json_integer_value(json_object_get(reply, "old"));
	json_int_t size = json_integer_value(json_object_get(reply, "size"));
	json_int_t ended = json_integer_value(json_object_get(reply, "ended"));
	char text[ERR_TEXT_MAX];

	if (old == size)
		snprintf(text, sizeof(text), "%.200s: %lld bytes, as before", e->config.name,
			(long long)size);
	else
		snprintf(text, sizeof(text), "%.200s: %lld -> %lld bytes; %lld client%s ended",
			e->config.name, (long long)old, (long long)size, (long long)ended,
			ended == 1 ? "" : "s");
	json_object_set_new(reply, "text", json_string(text));
}

static json_t *resized(struct asking *a, json_t *answer)
{
	const struct export_entry *e = exports_by_id(&a->master->exports, a->export_id);
	json_t *reply;

	if (!e || !json_is_true(json_object_get(answer, "ok")))
		return NULL;
	resize_answered(a->master, a->export_id, answer);
	reply = json_copy(answer);
	describe_size(reply, e);
	return reply;
}

/* Nobody knows a size that could have changed. */
static void answer_unused(struct ctl_conn *c, const struct export_entry *e)
{
	json_t *reply = ctl_ok();
	char text[ERR_TEXT_MAX];

	snprintf(text, sizeof(text),
		"%.200s is not in use; who comes gets the size its image has then", e->config.name);
	json_object_set_new(reply, "text", json_string(text));
	ctl_send(c, reply, -1);
}

static void do_resize(struct master *m, struct ctl_conn *c, json_t *msg)
{
	const struct export_entry *e = control_find(m, c, msg);
	const char *why = e ? resize_refusal(m, e) : NULL;
	struct asking how = {.answered = resized, .msg = msg, .timeout_ms = RESIZE_MS};
	char text[ERR_TEXT_MAX];

	if (!e)
		return;
	how.export_id = e->id;
	if (why) {
		snprintf(text, sizeof(text), "'%.200s': %s", e->config.name, why);
		ctl_send_error(c, text);
	} else if (!worker_for(m, e->id)) {
		answer_unused(c, e);
	} else {
		control_ask(m, c, &how,
			resize_request(false, json_is_true(json_object_get(msg, "force"))));
	}
}

/* remove */

static struct export_entry *find_entry(const struct master *m, json_t *msg)
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

static int check_removal(const struct export_entry *e, struct err *err)
{
	if (!e)
		return err_set(err, ENOENT, "no such export; see --list");
	if (e->parent)
		return err_set(
			err, EINVAL, "'%.100s' is a snapshot; use --drop-snapshot", e->config.name);
	return 0;
}

static json_t *removed(const char *text, unsigned clients)
{
	json_t *reply = ctl_ok();

	json_object_set_new(reply, "clients", json_integer(clients));
	if (*text)
		json_object_set_new(reply, "text", json_string(text));
	return reply;
}

static int remove_when_idle(struct master *m, struct ctl_conn *c, uint32_t id, struct err *err)
{
	unsigned clients = drain_clients(m, id);
	char text[ERR_TEXT_MAX] = "";
	bool waits;
	int ret = drain_begin(m, id, NULL, &waits, err);

	if (ret < 0)
		return ret;
	if (waits)
		snprintf(text, sizeof(text),
			"hidden from new clients; removed when its %u client%s left", clients,
			clients == 1 ? " has" : "s have");
	ctl_send(c, removed(text, clients), -1);
	return 0;
}

static int remove_by_force(struct master *m, struct ctl_conn *c, uint32_t id, struct err *err)
{
	struct await *a = await_new(m);
	char text[ERR_TEXT_MAX] = "";
	unsigned clients;
	int ret;

	if (!a)
		return err_set(err, ENOMEM, "out of memory");
	await_add(a, id);
	ret = change_remove(m, id, err);
	if (ret < 0) {
		await_free(a);
		return ret;
	}
	clients = await_stop(a);
	if (clients)
		snprintf(text, sizeof(text), "%u client%s ended", clients, clients == 1 ? "" : "s");
	ctl_pause(c);
	await_answer(a, c, removed(text, clients));
	return 0;
}

static void do_remove(struct master *m, struct ctl_conn *c, json_t *msg)
{
	const struct export_entry *e = find_entry(m, msg);
	struct err err = {0};
	enum plan_way way = PLAN_REFUSE;
	int ret = check_removal(e, &err);

	if (ret == 0)
		ret = read_way(msg, &way, &err);
	if (ret == 0 && way == PLAN_FORCE)
		ret = remove_by_force(m, c, e->id, &err);
	else if (ret == 0 && way == PLAN_WAIT)
		ret = remove_when_idle(m, c, e->id, &err);
	else if (ret == 0)
		ret = change_remove(m, e->id, &err);
	if (ret < 0 || way == PLAN_REFUSE)
		control_answer(c, ret, &err);
}

const struct control_command control_change_commands[] = {
	{"remove", do_remove},
	{"reload", do_reload},
	{"resize", do_resize},
	{NULL, NULL},
};
