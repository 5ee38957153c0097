/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Proxies' entries. What changes one is saved at once; if that fails the change stays in memory
 * all the same, because the server has made it already, and is saved with the next one.
 *
 * Copies: an entry that wants one and whose server is not copying is looked at again by a timer,
 * after a second first, then in longer and longer steps up to a minute.
 */
#include "proxy.h"

#include "log.h"
#include "master.h"
#include "migrate.h"
#include "relay.h"
#include "state.h"
#include "util.h"

#include <string.h>

#define UNDER_WAY UINT64_MAX /* copy_retry_at: it is being started */

enum { RETRY_MS = 1000, RETRY_MAX_MS = 60 * 1000, LIVED_MS = 30 * 1000 };

static void save(struct master *m, const struct export_entry *e)
{
	struct err err = {0};

	if (e->config.source == EXPORT_FROM_STATE &&
		state_save(m->options->dbpath, &m->exports, &err) < 0)
		log_export(LOG_LEVEL_ERROR, e->config.name, "not saved: %s", err.text);
}

static struct export_entry *proxy_by_id(const struct master *m, uint32_t id)
{
	struct export_entry *e = exports_by_id(&m->exports, id);

	return e && e->config.kind == EXPORT_PROXY ? e : NULL;
}

/* Copies. */

static bool wants_copy(const struct master *m, const struct export_entry *e)
{
	const struct worker *w = worker_for((struct master *)(uintptr_t)m, e->id);

	return e->config.kind == EXPORT_PROXY && e->copy == EXPORT_COPY_RUNNING &&
		!(w && w->copying);
}

/* The timer of all copies goes off when the first entry is due. */
static void arm(struct master *m)
{
	uint64_t at = UNDER_WAY, now = m->reactor.now;

	for (size_t i = 0; i < m->exports.count; i++) {
		if (wants_copy(m, &m->exports.entries[i]))
			at = MIN_OF(at, m->exports.entries[i].copy_retry_at);
	}
	if (at == UNDER_WAY || m->ending)
		reactor_timer_cancel(&m->reactor, &m->copies);
	else
		reactor_timer_set(&m->reactor, &m->copies, at > now ? at - now : 0);
}

/* A death is heard of twice: by the question under way, and by the worker. */
static void try_later(struct master *m, struct export_entry *e)
{
	uint64_t wait = (uint64_t)RETRY_MS << MIN_OF(e->copy_failures, 6U);

	if (e->copy_retry_at != UNDER_WAY && e->copy_retry_at > m->reactor.now)
		return;
	e->copy_failures++;
	e->copy_retry_at = m->reactor.now + MIN_OF(wait, (uint64_t)RETRY_MAX_MS);
	arm(m);
}

struct order {
	struct master *master;
	uint32_t export_id;
	pid_t pid;
};

static void ordered(void *arg, json_t *answer, const struct err *err)
{
	struct order *o = arg;
	struct export_entry *e = proxy_by_id(o->master, o->export_id);
	struct worker *w = worker_for(o->master, o->export_id);

	if (e && json_is_true(json_object_get(answer, "ok"))) {
		log_export(LOG_LEVEL_INFO, e->config.name, "fetching the rest from %s",
			e->config.uri ? e->config.uri : e->config.host);
		if (w && w->pid == o->pid)
			w->copying = true;
	} else if (e && !o->master->ending) {
		log_export(LOG_LEVEL_WARN, e->config.name, "the copy cannot begin: %s",
			relay_error(answer, err));
		try_later(o->master, e);
	}
	free(o);
}

static void order_copy(struct master *m, struct export_entry *e, const struct worker *w)
{
	struct order *o = malloc(sizeof(*o));

	if (o) {
		*o = (struct order){m, e->id, w->pid};
		if (relay_start(m, e->id,
			    json_pack("{s:s, s:I}", "cmd", "cache-all", "rate",
				    (json_int_t)e->copy_rate),
			    RELAY_MS, ordered, o))
			return;
	}
	free(o);
	try_later(m, e);
}

/* A server that is starting will be told when it is ready. */
static void push(struct master *m, struct export_entry *e)
{
	const struct worker *w = worker_for(m, e->id);

	e->copy_retry_at = UNDER_WAY;
	if (w && w->state == WORKER_READY)
		order_copy(m, e, w);
	else if (!w && !worker_start(m, e->id))
		try_later(m, e);
}

static void push_all(struct reactor_timer *t)
{
	struct master *m = container_of(t, struct master, copies);

	for (size_t i = 0; i < m->exports.count && !m->ending; i++) {
		struct export_entry *e = &m->exports.entries[i];

		if (wants_copy(m, e) && e->copy_retry_at <= m->reactor.now)
			push(m, e);
	}
	arm(m);
}

void proxy_start_copies(struct master *m)
{
	m->copies.fn = push_all;
	arm(m);
}

void proxy_copy_start(struct master *m, uint32_t id, uint64_t rate, bool told)
{
	struct export_entry *e = proxy_by_id(m, id);
	struct worker *w = worker_for(m, id);

	if (!e)
		return;
	e->copy = EXPORT_COPY_RUNNING;
	e->copy_rate = rate;
	e->copy_failures = 0;
	e->copy_retry_at = 0;
	if (w)
		w->copying = told; /* as far as this wish is concerned */
	save(m, e);
	arm(m);
}

void proxy_copy_set(struct master *m, uint32_t id, enum export_copy copy)
{
	struct export_entry *e = proxy_by_id(m, id);

	if (!e || e->copy == copy)
		return;
	e->copy = copy;
	save(m, e);
	arm(m);
}

/* Entries. */

void proxy_switched(struct master *m, uint32_t id)
{
	struct export_entry *e = proxy_by_id(m, id);

	if (!e)
		return;
	log_export(LOG_LEVEL_INFO, e->config.name, "switched; a target from now on, %s",
		e->config.image);
	if (e->config.source == EXPORT_FROM_CONFIG)
		log_export(LOG_LEVEL_WARN, e->config.name,
			"change it in %s too: mode = \"target\", image = \"%s\"",
			m->options->config, e->config.image);
	exports_become_target(e);
	save(m, e);
	migrate_switched(m, id);
}

void proxy_reconnected(struct master *m, uint32_t id, const struct export_config *origin)
{
	struct export_entry *e = proxy_by_id(m, id);
	struct err err = {0};

	if (!e)
		return;
	if (exports_set_origin(e, origin, &err) < 0)
		log_export(LOG_LEVEL_ERROR, e->config.name, "%s", err.text);
	else
		save(m, e);
	migrate_poke(m, id);
}

/* From the worker. */

void proxy_worker_ready(struct worker *w)
{
	struct export_entry *e = proxy_by_id(w->master, w->export_id);

	if (e && wants_copy(w->master, e))
		push(w->master, e);
}

void proxy_worker_gone(struct worker *w)
{
	struct master *m = w->master;
	struct export_entry *e = proxy_by_id(m, w->export_id);

	w->copying = false;
	if (m->ending || !e || !wants_copy(m, e))
		return;
	if (w->ready_at && m->reactor.now - w->ready_at > LIVED_MS)
		e->copy_failures = 0;
	try_later(m, e);
	log_export(LOG_LEVEL_WARN, e->config.name,
		"its server is gone, the copy is not complete; going on in %llu s",
		(unsigned long long)(e->copy_retry_at - m->reactor.now + 999) / 1000);
	migrate_poke(m, e->id);
}

void proxy_copy_event(struct worker *w, json_t *msg)
{
	const char *state = json_string_value(json_object_get(msg, "state"));
	struct export_entry *e = proxy_by_id(w->master, w->export_id);

	if (!state || !e)
		return;
	if (strcmp(state, "done") == 0) {
		log_export(LOG_LEVEL_INFO, e->config.name,
			"complete; nothing is needed of the origin any more");
		w->copying = false;
		proxy_copy_set(w->master, e->id, EXPORT_COPY_NONE);
	}
	migrate_poke(w->master, w->export_id);
}
