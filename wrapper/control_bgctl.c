/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What xnbd-bgctl can ask of a server, by the name of its export: the request goes to the server,
 * the answer comes back, and what it changes in our table is changed here.
 *
 *	query       name
 *	cache-all   name [, rate]
 *	pause, resume, verify  name
 *	switch      name [, force]     refused because of absent blocks is an answer with "ok":
 *true, "switched": false and "absent" reconnect   name, uri | name, host, port [, exportname]
 */
#include "control.h"
#include "log.h"
#include "master.h"
#include "proxy.h"
#include "relay.h"
#include "util.h"

#include <string.h>

static bool is_ok(json_t *answer)
{
	return json_is_true(json_object_get(answer, "ok"));
}

static json_t *command(const char *cmd)
{
	return json_pack("{s:s}", "cmd", cmd);
}

static const char *text_of(json_t *msg, const char *key)
{
	return json_string_value(json_object_get(msg, key));
}

static uint64_t rate_of(json_t *msg)
{
	json_int_t rate = json_integer_value(json_object_get(msg, "rate"));

	return rate > 0 ? (uint64_t)rate : 0;
}

/* A proxy, or NULL and C has its answer. */
static struct export_entry *find_proxy(
	struct master *m, struct ctl_conn *c, json_t *msg, const char *what)
{
	struct export_entry *e = control_find(m, c, msg);
	char text[512];

	if (!e || e->config.kind == EXPORT_PROXY)
		return e;
	snprintf(text, sizeof(text), "'%.100s' is no proxy: there is nothing to %s", e->config.name,
		what);
	ctl_send_error(c, text);
	return NULL;
}

static json_t *queried(struct asking *a, json_t *answer)
{
	const struct export_entry *e = exports_by_id(&a->master->exports, a->export_id);
	json_t *reply;

	if (!is_ok(answer) || !e || !*e->serial)
		return NULL;
	reply = json_copy(answer);
	json_object_set_new(reply, "serial", json_string(e->serial));
	return reply;
}

static void do_query(struct master *m, struct ctl_conn *c, json_t *msg)
{
	const struct export_entry *e = control_find(m, c, msg);

	if (e)
		control_ask(m, c,
			&(struct asking){.export_id = e->id, .msg = msg, .answered = queried},
			command("query"));
}

/* From now on proxy.c sees to it. */
static json_t *copying(struct asking *a, json_t *answer)
{
	json_t *reply;

	if (!is_ok(answer))
		return NULL;
	proxy_copy_start(a->master, a->export_id, rate_of(a->msg), true);
	reply = ctl_ok();
	json_object_set_new(reply, "text",
		json_string(
			"the rest is fetched in the background; --bgctl-query shows how far it is"));
	return reply;
}

static void do_cache_all(struct master *m, struct ctl_conn *c, json_t *msg)
{
	const struct export_entry *e = control_find(m, c, msg);
	json_t *request;

	if (!e)
		return;
	if (e->config.kind == EXPORT_TARGET) {
		ctl_send(c, ctl_ok(), -1); /* everything is there */
		return;
	}
	request = command("cache-all");
	json_object_set_new(request, "rate", json_integer((json_int_t)rate_of(msg)));
	control_ask(m, c, &(struct asking){.export_id = e->id, .msg = msg, .answered = copying},
		request);
}

static json_t *paused(struct asking *a, json_t *answer)
{
	const struct export_entry *e = exports_by_id(&a->master->exports, a->export_id);

	if (is_ok(answer) && e && e->copy == EXPORT_COPY_RUNNING)
		proxy_copy_set(a->master, a->export_id, EXPORT_COPY_PAUSED);
	return NULL;
}

static void do_pause(struct master *m, struct ctl_conn *c, json_t *msg)
{
	const struct export_entry *e = find_proxy(m, c, msg, "pause");

	if (e)
		control_ask(m, c,
			&(struct asking){.export_id = e->id, .msg = msg, .answered = paused},
			command("pause"));
}

static json_t *resumed(struct asking *a, json_t *answer)
{
	const struct export_entry *e = exports_by_id(&a->master->exports, a->export_id);

	if (is_ok(answer) && e && e->copy == EXPORT_COPY_PAUSED)
		proxy_copy_start(a->master, a->export_id, e->copy_rate, true);
	return NULL;
}

/* The server may be another one than that which was paused, and know of no copy. */
static void do_resume(struct master *m, struct ctl_conn *c, json_t *msg)
{
	const struct export_entry *e = find_proxy(m, c, msg, "resume");
	struct asking how = {.msg = msg, .answered = resumed};
	json_t *request;

	if (!e)
		return;
	how.export_id = e->id;
	if (e->copy == EXPORT_COPY_NONE) {
		control_ask(m, c, &how, command("resume"));
		return;
	}
	how.then = command("resume");
	request = command("cache-all");
	json_object_set_new(request, "rate", json_integer((json_int_t)e->copy_rate));
	control_ask(m, c, &how, request);
}

static void do_verify(struct master *m, struct ctl_conn *c, json_t *msg)
{
	const struct export_entry *e = find_proxy(m, c, msg, "verify");

	if (e)
		control_ask(m, c,
			&(struct asking){
				.export_id = e->id, .msg = msg, .timeout_ms = RELAY_LONG_MS},
			command("verify"));
}

static json_t *switched(struct asking *a, json_t *answer)
{
	json_t *reply = NULL;

	if (is_ok(answer)) {
		proxy_switched(a->master, a->export_id);
		reply = ctl_ok();
		json_object_set_new(reply, "switched", json_true());
	} else if (json_is_true(json_object_get(answer, "incomplete"))) {
		reply = ctl_ok();
		json_object_set_new(reply, "switched", json_false());
		json_object_set(reply, "absent", json_object_get(answer, "absent"));
		json_object_set(reply, "text", json_object_get(answer, "error"));
	}
	return reply;
}

static void do_switch(struct master *m, struct ctl_conn *c, json_t *msg)
{
	const struct export_entry *e = control_find(m, c, msg);
	json_t *request, *reply;

	if (!e)
		return;
	if (e->config.kind == EXPORT_TARGET) {
		reply = ctl_ok();
		json_object_set_new(reply, "switched", json_true());
		ctl_send(c, reply, -1);
		return;
	}
	request = command("switch");
	if (json_is_true(json_object_get(msg, "force")))
		json_object_set_new(request, "force", json_true());
	control_ask(m, c,
		&(struct asking){.export_id = e->id,
			.msg = msg,
			.timeout_ms = RELAY_LONG_MS,
			.answered = switched},
		request);
}

static void origin_of(json_t *msg, struct export_config *ret)
{
	*ret = (struct export_config){.uri = text_of(msg, "uri"),
		.host = text_of(msg, "host"),
		.port = text_of(msg, "port"),
		.exportname = text_of(msg, "exportname")};
}

static json_t *reconnected(struct asking *a, json_t *answer)
{
	struct export_config origin;

	origin_of(a->msg, &origin);
	if (is_ok(answer))
		proxy_reconnected(a->master, a->export_id, &origin);
	return NULL;
}

static void do_reconnect(struct master *m, struct ctl_conn *c, json_t *msg)
{
	static const char *const keys[] = {"uri", "host", "port", "exportname"};
	const struct export_entry *e = find_proxy(m, c, msg, "reconnect");
	struct export_config origin;
	struct err err = {0};
	json_t *request;

	origin_of(msg, &origin);
	if (!e)
		return;
	if (export_config_check_origin(&origin, &err) < 0) {
		ctl_send_error(c, err.text);
		return;
	}
	request = command("reconnect");
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (text_of(msg, keys[i]))
			json_object_set(request, keys[i], json_object_get(msg, keys[i]));
	}
	control_ask(m, c,
		&(struct asking){.export_id = e->id,
			.msg = msg,
			.timeout_ms = RELAY_LONG_MS,
			.answered = reconnected},
		request);
}

const struct control_command control_bgctl_commands[] = {
	{"query", do_query},
	{"cache-all", do_cache_all},
	{"pause", do_pause},
	{"resume", do_resume},
	{"verify", do_verify},
	{"switch", do_switch},
	{"reconnect", do_reconnect},
	{NULL, NULL},
};
