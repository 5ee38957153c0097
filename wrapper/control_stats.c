/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is going on, and how much of it is logged.
 *
 *	stats      [name] [, clients]    figures.h, of the servers that run
 *	metrics                          the same as "text" for Prometheus
 *	log-level  [level]               of master, negotiator and servers
 *
 * Who asks may go away before the servers have answered.
 */
#include "control.h"
#include "figures.h"
#include "gather.h"
#include "log.h"
#include "master.h"
#include "metrics.h"
#include "snapshots.h"
#include "util.h"

#include <string.h>

struct inquiry {
	struct master *master;
	struct ctl_conn *conn; /* NULL: gone */
	struct inquiry *next;
	json_t *name; /* of the export that was asked about; NULL = all */
};

static struct inquiry *begin(struct master *m, struct ctl_conn *c)
{
	struct inquiry *q = malloc(sizeof(*q));

	if (!q) {
		ctl_send_error(c, "out of memory");
		return NULL;
	}
	*q = (struct inquiry){.master = m, .conn = c, .next = m->inquiries};
	m->inquiries = q;
	return q;
}

/* REPLY is taken; NULL: out of memory. */
static void end(struct inquiry *q, json_t *reply)
{
	struct inquiry **p = &q->master->inquiries;
	struct ctl_conn *c = q->conn;

	while (*p != q)
		p = &(*p)->next;
	*p = q->next;
	json_decref(q->name);
	free(q);
	if (!c) {
		json_decref(reply);
		return;
	}
	if (reply)
		ctl_send(c, reply, -1);
	else
		ctl_send_error(c, "out of memory");
	ctl_resume(c);
}

/* The answer comes later, unless that could not be BEGUN (-errno). */
static void wait_for(struct inquiry *q, int begun)
{
	struct ctl_conn *c = q->conn;

	if (begun < 0)
		end(q, NULL);
	else
		ctl_pause(c);
}

void control_stats_gone(struct master *m, struct ctl_conn *c)
{
	for (struct inquiry *q = m->inquiries; q; q = q->next) {
		if (q->conn == c)
			q->conn = NULL;
	}
}

static void show_figures(void *arg, json_t *figures)
{
	struct inquiry *q = arg;

	if (figures)
		json_object_set_new(figures, "ok", json_true());
	if (figures && q->name)
		json_object_set(figures, "name", q->name);
	end(arg, figures);
}

static void show_metrics(void *arg, json_t *figures)
{
	CLEANUP_FREE char *text = figures ? metrics_text(figures) : NULL;
	json_t *reply = text ? ctl_ok() : NULL;

	if (reply)
		json_object_set_new(reply, "text", json_string(text));
	json_decref(figures);
	end(arg, reply);
}

static void ask_figures(struct master *m, struct ctl_conn *c, const struct export_entry *only,
	json_t *msg, figures_fn *show)
{
	struct inquiry *q = begin(m, c);
	bool clients = json_is_true(json_object_get(msg, "clients"));

	if (!q)
		return;
	if (only)
		q->name = json_incref(json_object_get(msg, "name"));
	wait_for(q, figures_ask(m, only ? snapshots_server(only) : 0, clients, show, q));
}

static void do_stats(struct master *m, struct ctl_conn *c, json_t *msg)
{
	const struct export_entry *e = NULL;

	if (json_object_get(msg, "name")) {
		e = control_find(m, c, msg);
		if (!e)
			return;
	}
	ask_figures(m, c, e, msg, show_figures);
}

static void do_metrics(struct master *m, struct ctl_conn *c, json_t *msg)
{
	(void)msg;
	ask_figures(m, c, NULL, NULL, show_metrics);
}

/* Level of the log. */

static void tell_level(void *arg, json_t *servers)
{
	json_t *reply = ctl_ok(), *server, *missed = json_array();
	json_int_t told = 0;
	size_t i;

	json_array_foreach(servers, i, server)
	{
		if (json_object_get(server, "level"))
			told++;
		else if (strcmp(json_string_value(json_object_get(server, "state")), "stopping"))
			json_array_append(missed, json_object_get(server, "export"));
	}
	json_object_set_new(reply, "level", json_string(log_level_name(log_level_now())));
	json_object_set_new(reply, "servers", json_integer(told));
	json_object_set_new(reply, "missed", missed);
	end(arg, reply);
}

static void change_level(struct master *m, struct ctl_conn *c, enum log_level level)
{
	json_t *request =
		json_pack("{s:s, s:s}", "cmd", "log-level", "level", log_level_name(level));
	const struct gather_question question = {
		.key = "level", .request = request, .starting_too = true};
	struct inquiry *q = begin(m, c);

	if (q) {
		log_info("log level: %s, was %s", log_level_name(level),
			log_level_name(log_level_now()));
		log_level(level);
		link_send_log_level(m);
		wait_for(q, gather_start(m, 0, &question, 1, tell_level, q));
	}
	json_decref(request);
}

static void do_log_level(struct master *m, struct ctl_conn *c, json_t *msg)
{
	const char *wanted = json_string_value(json_object_get(msg, "level"));
	enum log_level level = log_level_now();
	json_t *reply;

	if (json_object_get(msg, "level") && (!wanted || !log_level_parse(wanted, &level))) {
		ctl_send_error(c, "log-level: \"level\" must be " LOG_LEVEL_NAMES);
	} else if (wanted) {
		change_level(m, c, level);
	} else {
		reply = ctl_ok();
		json_object_set_new(reply, "level", json_string(log_level_name(level)));
		ctl_send(c, reply, -1);
	}
}

const struct control_command control_stats_commands[] = {
	{"stats", do_stats},
	{"metrics", do_metrics},
	{"log-level", do_log_level},
	{NULL, NULL},
};
