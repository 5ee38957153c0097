/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Life of a relay: waiting for its server (no connection yet) -> sent -> finished. Finished ones
 * stay in the list until the end of the reactor's turn, because the connection's own code may still
 * be running above us; so the list can be walked while callbacks add to it.
 */
#include "relay.h"

#include "log.h"
#include "master.h"
#include "util.h"

#include <errno.h>

struct relay {
	struct master *master;
	struct relay *next;
	uint32_t export_id;
	json_t *request; /* NULL: sent */
	bool refused;    /* could not even be sent; FN hears of it in the next turn */
	struct ctl_conn conn;
	struct reactor_timer deadline;
	struct reactor_task burial;
	relay_fn *fn; /* NULL: finished or cancelled */
	void *arg;
};

static void bury(struct reactor_task *t)
{
	struct relay *r = container_of(t, struct relay, burial);
	struct relay **p = &r->master->relays;

	while (*p != r)
		p = &(*p)->next;
	*p = r->next;
	free(r);
}

static void release(struct relay *r)
{
	r->fn = NULL;
	reactor_timer_cancel(&r->master->reactor, &r->deadline);
	ctl_conn_done(&r->conn);
	json_decref(r->request);
	r->request = NULL;
	reactor_defer(&r->master->reactor, &r->burial);
}

static void finish(struct relay *r, json_t *answer, const struct err *err)
{
	relay_fn *fn = r->fn;

	if (!fn)
		return;
	release(r);
	fn(r->arg, answer, err);
}

static void fail(struct relay *r, int code, const char *text)
{
	struct err err;

	err_set(&err, code, "%s", text);
	finish(r, NULL, &err);
}

void relay_cancel(struct relay *r)
{
	if (r->fn)
		release(r);
}

/* What comes back. Events go to every connection; the master's own is where they are heard. */
static void says(struct ctl_conn *c, json_t *msg, int fd)
{
	fd_close(&fd);
	if (json_is_boolean(json_object_get(msg, "ok")))
		finish(container_of(c, struct relay, conn), msg, NULL);
}

static void hung_up(struct ctl_conn *c)
{
	fail(container_of(c, struct relay, conn), ECONNRESET,
		"the export's server ended before it answered");
}

static const struct ctl_ops relay_ops = {says, hung_up};

static void too_late(struct reactor_timer *t)
{
	struct relay *r = container_of(t, struct relay, deadline);

	fail(r, ETIMEDOUT,
		r->refused ? "the export's server takes no control connection"
			: r->request
			? "the export's server could not be started in time"
			: "the export's server does not answer in time; the command may still be carried out");
}

/* A full queue (its server hangs) must not hold us up. */
static void send_now(struct relay *r, const struct worker *w)
{
	int fd = sock_try_unix(w->ctl_path);

	if (fd < 0 || ctl_conn_init(&r->conn, &r->master->reactor, fd, &relay_ops) < 0) {
		r->conn.fd = -1;
		r->refused = true;
		reactor_timer_set(&r->master->reactor, &r->deadline, 0);
		return;
	}
	r->conn.in.limit = CTL_ANSWER_MAX; /* answers have lists in them */
	ctl_send(&r->conn, r->request, -1);
	r->request = NULL;
}

struct relay *relay_start(struct master *m, uint32_t export_id, json_t *request,
	unsigned timeout_ms, relay_fn *fn, void *arg)
{
	struct relay *r = request && !m->ending ? calloc(1, sizeof(*r)) : NULL;
	struct worker *w = r ? worker_for(m, export_id) : NULL;

	if (r && !w)
		w = worker_start(m, export_id);
	if (!w) {
		free(r);
		json_decref(request);
		return NULL;
	}
	*r = (struct relay){m, m->relays, export_id, request, .fn = fn, .arg = arg};
	r->conn.fd = -1;
	r->deadline.fn = too_late;
	r->burial.fn = bury;
	m->relays = r;
	reactor_timer_set(&m->reactor, &r->deadline, timeout_ms);
	if (w->state == WORKER_READY)
		send_now(r, w);
	return r;
}

bool relay_busy(const struct master *m, uint32_t export_id)
{
	for (const struct relay *r = m->relays; r; r = r->next) {
		if (r->fn && r->export_id == export_id)
			return true;
	}
	return false;
}

void relay_worker_ready(struct worker *w)
{
	for (struct relay *r = w->master->relays; r; r = r->next) {
		if (r->fn && r->request && !r->refused && r->export_id == w->export_id)
			send_now(r, w);
	}
}

void relay_worker_failed(struct worker *w)
{
	for (struct relay *r = w->master->relays; r; r = r->next) {
		if (r->fn && r->request && !r->refused && r->export_id == w->export_id)
			fail(r, EIO,
				"the server of this export could not be started; the log says why");
	}
}

void relay_end_all(struct master *m)
{
	for (struct relay *r = m->relays; r; r = r->next)
		fail(r, ECANCELED, "the wrapper is shutting down");
	while (m->relays) {
		struct relay *r = m->relays;

		reactor_undefer(&m->reactor, &r->burial);
		bury(&r->burial);
	}
}

const char *relay_error(json_t *answer, const struct err *err)
{
	const char *text = json_string_value(json_object_get(answer, "error"));

	return err ? err->text : text ? text : "refused without a reason";
}
