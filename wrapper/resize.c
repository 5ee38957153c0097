/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See resize.h. Nobody here looks at an image: the master must not wait for a disk. An export that
 * has no server needs nothing, for its next one looks anyway.
 */
#include "resize.h"

#include "command.h"
#include "log.h"
#include "master.h"
#include "relay.h"
#include "util.h"

#include <string.h>

void resize_event(struct worker *w, json_t *msg)
{
	if (!worker_read_facts(msg, &w->facts))
		return;
	w->poll_refused = false;
	worker_ask_again(w->master, w->export_id);
}

void resize_answered(struct master *m, uint32_t export_id, json_t *answer)
{
	json_int_t size = json_integer_value(json_object_get(answer, "size"));
	struct worker *w = worker_for(m, export_id);

	if (!w || !json_is_true(json_object_get(answer, "ok")) || size <= 0)
		return;
	w->facts.size = (uint64_t)size;
	worker_ask_again(m, export_id);
}

const char *resize_refusal(const struct master *m, const struct export_entry *e)
{
	if (e->parent)
		return "a snapshot keeps the size it had at its moment";
	if (e->config.kind == EXPORT_PROXY)
		return "a proxy keeps the size of its origin; add one with another cache for another size";
	if (command_kind(m->options, e) == EXPORT_COW)
		return "a copy-on-write export keeps the size of its base as long as it has clients; "
		       "it has the new one when they have left (see --evict)";
	return NULL;
}

json_t *resize_request(bool look, bool force)
{
	return json_pack("{s:s, s:b, s:b}", "cmd", "resize", "look", look, "force", force);
}

/* Looking again and again. */

struct poll {
	struct master *master;
	uint32_t export_id;
};

/* One that cannot be resized is told of once. */
static void polled(void *arg, json_t *answer, const struct err *err)
{
	struct poll *p = arg;
	struct worker *w = worker_for(p->master, p->export_id);
	bool ok = json_is_true(json_object_get(answer, "ok"));

	if (w) {
		w->polling = false;
		if (!ok && !w->poll_refused && !p->master->ending)
			log_export(LOG_LEVEL_WARN, w->export_name, "%s", relay_error(answer, err));
		w->poll_refused = !ok;
	}
	free(p);
}

static void poll_one(struct worker *w)
{
	struct master *m = w->master;
	struct poll *p = malloc(sizeof(*p));

	if (!p)
		return;
	*p = (struct poll){m, w->export_id};
	w->polling =
		relay_start(m, w->export_id, resize_request(false, false), RESIZE_MS, polled, p);
	if (!w->polling)
		free(p);
}

static bool is_polled(const struct master *m, const struct worker *w)
{
	const struct export_entry *e = exports_by_id(&m->exports, w->export_id);

	return w->state == WORKER_READY && !w->polling && e && !resize_refusal(m, e);
}

static void poll_all(struct reactor_timer *t)
{
	struct master *m = container_of(t, struct master, poll);

	for (struct worker *w = m->workers; w; w = w->next) {
		if (is_polled(m, w))
			poll_one(w);
	}
	resize_poll(m);
}

void resize_poll(struct master *m)
{
	m->poll.fn = poll_all;
	if (m->options->poll_sizes && !m->ending)
		reactor_timer_set(&m->reactor, &m->poll, m->options->poll_sizes * 1000);
	else
		reactor_timer_cancel(&m->reactor, &m->poll);
}

void resize_end(struct master *m)
{
	reactor_timer_cancel(&m->reactor, &m->poll);
}
