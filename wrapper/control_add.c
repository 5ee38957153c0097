/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Adding exports.
 *
 *	add-target  name, file [, readonly, description, settings]
 *	add-cow     name, file [, description, settings]
 *	add-proxy   name, cache, bitmap, control, uri | host, port [, exportname, settings]
 *
 * A file must be there before its name is: a probe looks, the connection is paused meanwhile and
 *may go away. A proxy's cache need not exist, its server makes it.
 */
#include "control.h"
#include "export_settings.h"
#include "log.h"
#include "master.h"
#include "probe.h"
#include "util.h"

#include <errno.h>
#include <string.h>

struct addition {
	struct master *master;
	struct ctl_conn *conn; /* NULL: gone */
	json_t *msg;
	enum export_kind kind;
	struct addition *next;
};

static const char *text_of(json_t *msg, const char *key)
{
	return json_string_value(json_object_get(msg, key));
}

static int add_now(struct master *m, const struct export_config *spec, json_t *msg, struct err *err)
{
	struct export_config full = *spec;
	struct export_entry *e;
	int ret;

	full.name = text_of(msg, "name");
	full.description = text_of(msg, "description");
	full.readonly = json_is_true(json_object_get(msg, "readonly"));
	full.source = EXPORT_FROM_STATE;
	ret = export_settings_read(json_object_get(msg, "settings"), &full, err);
	if (ret == 0)
		ret = exports_add(&m->exports, &full, &e, err);
	export_settings_free(&full);
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

static int add_found(const struct addition *a, const struct probe_result *found, struct err *err)
{
	const struct export_config spec = {.kind = a->kind, .image = text_of(a->msg, "file")};

	if (found->code)
		return err_set(err, found->code, "%s", found->text);
	return add_now(a->master, &spec, a->msg, err);
}

static void probed(void *arg, const struct probe_result *found)
{
	struct addition *a = arg;
	struct ctl_conn *c = a->conn;
	struct err err = {0};

	if (c)
		control_answer(c, add_found(a, found, &err), &err);
	unlink_addition(a);
	if (c)
		ctl_resume(c);
}

void control_add_gone(struct master *m, struct ctl_conn *c)
{
	for (struct addition *a = m->additions; a; a = a->next) {
		if (a->conn == c)
			a->conn = NULL;
	}
}

static void look_and_add(
	struct master *m, struct ctl_conn *c, json_t *msg, enum export_kind kind, bool readonly)
{
	const char *file = text_of(msg, "file");
	struct addition *a;

	if (!file || file[0] != '/' || !text_of(msg, "name")) {
		ctl_send_error(c, "adding an export needs a name and a file with an absolute path");
		return;
	}
	a = malloc(sizeof(*a));
	if (!a || !probe_start(&m->probes, file, readonly, probed, a)) {
		free(a);
		ctl_send_error(c, "out of memory or processes");
		return;
	}
	*a = (struct addition){m, c, json_incref(msg), kind, m->additions};
	m->additions = a;
	ctl_pause(c);
}

static void do_target(struct master *m, struct ctl_conn *c, json_t *msg)
{
	look_and_add(m, c, msg, EXPORT_TARGET,
		m->options->readonly || m->options->cow ||
			json_is_true(json_object_get(msg, "readonly")));
}

static void do_cow(struct master *m, struct ctl_conn *c, json_t *msg)
{
	look_and_add(m, c, msg, EXPORT_COW, true);
}

static void do_proxy(struct master *m, struct ctl_conn *c, json_t *msg)
{
	static const char *const paths[] = {"cache", "bitmap", "control"};
	const struct export_config spec = {.kind = EXPORT_PROXY,
		.image = text_of(msg, "cache"),
		.bitmap = text_of(msg, "bitmap"),
		.control = text_of(msg, "control"),
		.uri = text_of(msg, "uri"),
		.host = text_of(msg, "host"),
		.port = text_of(msg, "port"),
		.exportname = text_of(msg, "exportname")};
	struct err err = {0};
	int ret;

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		const char *path = text_of(msg, paths[i]);

		if (path ? path[0] != '/' : i == 0) {
			ctl_send_error(c, "add-proxy: needs a cache, all paths absolute");
			return;
		}
	}
	if (!text_of(msg, "name"))
		ret = err_set(&err, EINVAL, "add-proxy: needs a name");
	else
		ret = add_now(m, &spec, msg, &err);
	control_answer(c, ret, &err);
}

const struct control_command control_add_commands[] = {
	{"add-target", do_target},
	{"add-cow", do_cow},
	{"add-proxy", do_proxy},
	{NULL, NULL},
};
