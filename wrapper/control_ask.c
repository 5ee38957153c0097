/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands whose answer a server has. A command that was sent is carried out, and the table brought
 * up to date, even if the one who asked has left.
 */
#include "adopt.h"
#include "control.h"
#include "master.h"
#include "relay.h"
#include "util.h"

#include <errno.h>

static void unlink_asking(struct asking *a)
{
	struct asking **p = &a->master->askings;

	while (*p != a)
		p = &(*p)->next;
	*p = a->next;
	json_decref(a->msg);
	json_decref(a->then);
	free(a);
}

static json_t *refusal(json_t *answer, const struct err *err)
{
	json_t *reply = answer ? json_copy(answer) : json_object();

	json_object_set_new(reply, "ok", json_false());
	json_object_set_new(reply, "error", json_string(relay_error(answer, err)));
	return reply;
}

static void finish(struct asking *a, json_t *answer, const struct err *err)
{
	json_t *reply = answer && a->answered ? a->answered(a, answer) : NULL;
	struct ctl_conn *c = a->conn;

	if (!reply && json_is_true(json_object_get(answer, "ok")))
		reply = json_copy(answer);
	else if (!reply)
		reply = refusal(answer, err);
	unlink_asking(a);
	if (!c) {
		json_decref(reply);
		return;
	}
	ctl_send(c, reply, -1);
	ctl_resume(c);
}

static void send_request(struct asking *a, json_t *request);

static void answered(void *arg, json_t *answer, const struct err *err)
{
	struct asking *a = arg;
	json_t *then = a->then;

	a->then = NULL;
	if (then && json_is_true(json_object_get(answer, "ok"))) {
		send_request(a, then);
		return;
	}
	json_decref(then);
	finish(a, answer, err);
}

static void send_request(struct asking *a, json_t *request)
{
	const struct export_entry *e = exports_by_id(&a->master->exports, a->export_id);
	struct err err = {0};

	if (relay_start(a->master, a->export_id, request, a->timeout_ms, answered, a))
		return;
	if (!e || adopt_check_free(a->master, e, &err) == 0)
		err_set(&err, EIO, "the server of this export could not be started");
	finish(a, NULL, &err);
}

void control_ask(struct master *m, struct ctl_conn *c, const struct asking *how, json_t *request)
{
	struct asking *a = malloc(sizeof(*a));

	if (!a) {
		json_decref(request);
		json_decref(how->then);
		ctl_send_error(c, "out of memory");
		return;
	}
	*a = *how;
	a->master = m;
	a->conn = c;
	json_incref(a->msg);
	if (!a->timeout_ms)
		a->timeout_ms = RELAY_MS;
	a->next = m->askings;
	m->askings = a;
	ctl_pause(c);
	send_request(a, request);
}

void control_ask_gone(struct master *m, struct ctl_conn *c)
{
	for (struct asking *a = m->askings; a; a = a->next) {
		if (a->conn == c)
			a->conn = NULL;
	}
}
