/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Carrying out a plan that has been judged. What can still fail is memory, and a disk that is full
 * where a serial is to be kept: that is told, and the rest goes on. Exports that go are first, so
 * that their names are free.
 */
#include "reload_inner.h"

#include "access.h"
#include "await.h"
#include "change.h"
#include "control.h"
#include "drain.h"
#include "log.h"
#include "relay.h"
#include "resize.h"
#include "util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 3, 4))) static void problem(
	struct reload *r, const char *name, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX], line[2 * ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(line, sizeof(line), "export '%.200s': %s", name, text);
	log_error("reload: %s", line);
	json_array_append_new(r->problems, control_text(line));
}

/* The wrapper. */

static bool has_wrapper_key(const struct reload *r, const char *name)
{
	for (size_t i = 0; i < r->plan.wrapper_key_count; i++) {
		if (strcmp(r->plan.wrapper_keys[i]->name, name) == 0)
			return true;
	}
	return false;
}

static void take_rules(struct master *m, const struct wrapper_config *w)
{
	struct peers allow, deny;

	if (peers_copy(&allow, &w->allow) < 0)
		return;
	if (peers_copy(&deny, &w->deny) < 0) {
		peers_done(&allow);
		return;
	}
	peers_done(&m->allow);
	peers_done(&m->deny);
	m->allow = allow;
	m->deny = deny;
	link_send_common(m);
}

/* A level that was set by hand stays until the file has another one. */
static void take_log_level(struct master *m)
{
	const char *text = m->options->log_level;
	enum log_level level = LOG_LEVEL_INFO;

	log_level_parse(text, &level);
	log_level(level);
	link_send_log_level(m);
	for (struct worker *w = m->workers; w; w = w->next) {
		if (w->ctl.fd >= 0)
			ctl_send(&w->ctl,
				json_pack("{s:s, s:s}", "cmd", "log-level", "level", text), -1);
	}
}

/* The negotiator lets in whom it can by itself. */
static void take_limits(struct master *m)
{
	for (size_t i = 0; i < m->exports.count; i++)
		worker_ask_again(m, m->exports.entries[i].id);
}

static void take_idle_timeout(struct master *m)
{
	for (size_t i = 0; i < m->exports.count; i++)
		change_tell_limits(m, &m->exports.entries[i]);
}

/* The settings read before are given up: from here on, the new ones are those of the plan too. */
static void take_settings(struct reload *r)
{
	struct master *m = r->master;
	struct settings *before = m->reread;

	m->reread = r->fresh;
	m->settings = r->fresh;
	m->options = &m->settings->options;
	r->fresh = NULL;
	if (before)
		settings_done(before);
	free(before);
	master_set_server(m);
	if (has_wrapper_key(r, "allow") || has_wrapper_key(r, "deny"))
		take_rules(m, &m->settings->config.wrapper);
	if (has_wrapper_key(r, "log-level"))
		take_log_level(m);
	if (has_wrapper_key(r, "handshake-timeout"))
		link_send_timeout(m);
	if (has_wrapper_key(r, "max-clients") || has_wrapper_key(r, "max-clients-per-peer"))
		take_limits(m);
	if (has_wrapper_key(r, "poll-sizes"))
		resize_poll(m);
	if (has_wrapper_key(r, "idle-timeout"))
		take_idle_timeout(m);
}

/* Exports. */

static bool is_to_wait(const struct reload *r, const struct plan_row *row)
{
	return r->wish.way == PLAN_WAIT && plan_is_blocked(row);
}

/* It waits already, and may go on doing so. */
static bool is_left(const struct reload *r, const struct plan_row *row)
{
	return row->waiting && r->wish.way != PLAN_FORCE && row->clients > 0;
}

static void end_servers(struct reload *r, const struct plan_row *row)
{
	if (!r->await)
		r->await = await_new(r->master);
	if (r->await)
		await_add(r->await, row->id);
}

static void remove_export(struct reload *r, const struct plan_row *row)
{
	struct err err = {0};
	bool waits;
	int ret;

	if (is_left(r, row))
		return;
	if (is_to_wait(r, row)) {
		ret = drain_begin(r->master, row->id, NULL, &waits, &err);
	} else {
		end_servers(r, row);
		ret = change_remove(r->master, row->id, &err);
	}
	if (ret < 0)
		problem(r, row->name, "not removed: %s", err.text);
}

static void change_now(struct reload *r, const struct plan_row *row, struct export_config *to)
{
	struct err err = {0};
	bool waits;

	if (is_to_wait(r, row)) {
		if (drain_begin(r->master, row->id, to, &waits, &err) < 0)
			problem(r, row->name, "not changed: %s", err.text);
		return;
	}
	if (row->restart)
		end_servers(r, row);
	if (change_export(r->master, row->id, to, row->restart) < 0)
		problem(r, row->name, "not changed: out of memory");
}

static void change_row(struct reload *r, const struct plan_row *row)
{
	const struct export_entry *e = exports_by_id(&r->master->exports, row->id);
	struct export_config to;

	if (is_left(r, row))
		return;
	if (plan_merge(row, &e->config, &to) < 0) {
		problem(r, row->name, "not changed: out of memory");
		return;
	}
	change_now(r, row, &to);
	export_config_free(&to);
}

static void add_export(struct reload *r, const struct plan_row *row)
{
	struct err err = {0};

	if (change_add(r->master, row->to, &err) < 0)
		problem(r, row->name, "not added: %s", err.text);
}

static void apply_row(struct reload *r, const struct plan_row *row)
{
	if (row->revived)
		drain_cancel(r->master, row->id);
	if (row->change == PLAN_CHANGED)
		change_row(r, row);
	else if (row->change == PLAN_ADDED)
		add_export(r, row);
}

static void apply_rows(struct reload *r)
{
	for (size_t i = 0; i < r->plan.count; i++) {
		if (r->plan.rows[i].change == PLAN_REMOVED)
			remove_export(r, &r->plan.rows[i]);
	}
	if (r->await)
		await_stop(r->await);
	for (size_t i = 0; i < r->plan.count; i++)
		apply_row(r, &r->plan.rows[i]);
}

/* Sizes. */

static void resized(void *arg, json_t *answer, const struct err *err)
{
	struct reload_look *l = arg;
	struct reload *r = l->reload;
	const struct export_entry *e = exports_by_id(&r->master->exports, l->export_id);

	l->relay = NULL;
	resize_answered(r->master, l->export_id, answer);
	if (!json_is_true(json_object_get(answer, "ok")))
		problem(r, e ? e->config.name : "?", "%s", relay_error(answer, err));
	if (--r->waiting == 0)
		reload_done(r);
}

static bool takes_size(const struct reload *r, const struct plan_row *row)
{
	return row->size != row->old_size && !row->restart && row->change != PLAN_REMOVED &&
		(row->size > row->old_size || r->wish.way == PLAN_FORCE);
}

static struct reload_look *look_of(struct reload *r, uint32_t id)
{
	for (size_t i = 0; i < r->look_count; i++) {
		if (r->looks[i].export_id == id)
			return &r->looks[i];
	}
	return NULL;
}

static void take_sizes(struct reload *r)
{
	bool force = r->wish.way == PLAN_FORCE;

	for (size_t i = 0; i < r->plan.count; i++) {
		const struct plan_row *row = &r->plan.rows[i];
		struct reload_look *l = takes_size(r, row) ? look_of(r, row->id) : NULL;

		if (!l || !worker_for(r->master, row->id))
			continue;
		l->relay = relay_start(
			r->master, row->id, resize_request(false, force), RESIZE_MS, resized, l);
		r->waiting += l->relay != NULL;
	}
}

void reload_apply(struct reload *r)
{
	take_settings(r);
	apply_rows(r);
	access_enforce(r->master);
	take_sizes(r);
	if (!r->waiting)
		reload_done(r);
}
