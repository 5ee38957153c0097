/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A gather has a part for each question to each server, and ends with the last of them. What a
 * server is called is written down at the start: it may be gone when the answers are here.
 */
#include "gather.h"

#include "command.h"
#include "control.h"
#include "master.h"
#include "relay.h"
#include "util.h"

#include <errno.h>

struct part {
	struct gather *gather;
	json_t *server; /* in the gather's list */
	const char *key;
};

struct gather {
	struct master *master;
	struct gather *next;
	json_t *servers;
	struct reactor_timer end; /* set when nothing is left; never from inside the start */
	size_t left;
	gather_fn *fn;
	void *arg;
	size_t count;
	struct part parts[];
};

static void finish(struct reactor_timer *t)
{
	struct gather *g = container_of(t, struct gather, end), **p = &g->master->gathers;

	while (*p != g)
		p = &(*p)->next;
	*p = g->next;
	reactor_timer_cancel(&g->master->reactor, &g->end);
	g->fn(g->arg, g->servers);
	json_decref(g->servers);
	free(g);
}

static void set_text(json_t *object, const char *key, const char *text)
{
	json_object_set_new(object, key, control_text(text));
}

static void part_done(struct part *p)
{
	if (--p->gather->left == 0)
		reactor_timer_set(&p->gather->master->reactor, &p->gather->end, 0);
}

/* A refusal is an answer: a server that does not know the command yet is there all the same. */
static void answered(void *arg, json_t *answer, const struct err *err)
{
	struct part *p = arg;

	if (!json_is_true(json_object_get(answer, "ok")))
		set_text(p->server, "error", relay_error(answer, err));
	if (!answer)
		set_text(p->server, "state", "no answer");
	else if (json_is_true(json_object_get(answer, "ok")))
		json_object_set(p->server, p->key, answer);
	part_done(p);
}

static void ask(
	struct gather *g, const struct worker *w, json_t *server, const struct gather_question *q)
{
	struct part *p = &g->parts[g->count];
	struct err err;

	*p = (struct part){g, server, q->key};
	g->count++;
	g->left++;
	if (relay_start(g->master, w->export_id, json_copy(q->request), GATHER_MS, answered, p))
		return;
	err_set(&err, ENOMEM, "out of memory, or the wrapper is ending");
	answered(p, NULL, &err);
}

static json_t *describe(const struct worker *w)
{
	static const char *const states[] = {
		[WORKER_STARTING] = "starting",
		[WORKER_READY] = "running",
		[WORKER_STOPPING] = "stopping",
	};
	const struct export_entry *e = exports_by_id(&w->master->exports, w->export_id);
	json_t *server = json_pack("{s:s, s:I, s:I, s:s, s:I}", "export", w->export_name, "index",
		(json_int_t)w->export_id, "pid", (json_int_t)w->pid, "state", states[w->state],
		"client_count", (json_int_t)w->client_count);

	if (e)
		set_text(server, "mode", export_config_mode(command_kind(w->master->options, e)));
	return server;
}

static bool is_proxy(const struct worker *w)
{
	const struct export_entry *e = exports_by_id(&w->master->exports, w->export_id);

	return e && e->config.kind == EXPORT_PROXY;
}

/* By index: workers are listed the latest first. */
static int insert(json_t *servers, json_t *server)
{
	json_int_t index = json_integer_value(json_object_get(server, "index"));
	size_t at = json_array_size(servers);

	while (at > 0 &&
		json_integer_value(json_object_get(json_array_get(servers, at - 1), "index")) >
			index)
		at--;
	return json_array_insert_new(servers, at, server);
}

static bool is_asked(const struct worker *w, const struct gather_question *q)
{
	if (w->state != WORKER_READY && !(q->starting_too && w->state == WORKER_STARTING))
		return false;
	return !q->proxies_only || is_proxy(w);
}

static void ask_all(
	struct gather *g, uint32_t export_id, const struct gather_question *questions, size_t count)
{
	for (struct worker *w = g->master->workers; w; w = w->next) {
		json_t *server;

		if (export_id && w->export_id != export_id)
			continue;
		server = describe(w);
		if (insert(g->servers, server) < 0)
			continue;
		for (size_t i = 0; i < count; i++) {
			if (is_asked(w, &questions[i]))
				ask(g, w, server, &questions[i]);
		}
	}
}

int gather_start(struct master *m, uint32_t export_id, const struct gather_question *questions,
	size_t count, gather_fn *fn, void *arg)
{
	struct gather *g;
	size_t parts = 0;

	for (const struct worker *w = m->workers; w; w = w->next)
		parts += count;
	g = calloc(1, sizeof(*g) + parts * sizeof(g->parts[0]));
	if (!g)
		return -ENOMEM;
	g->servers = json_array();
	g->master = m;
	g->end.fn = finish;
	g->fn = fn;
	g->arg = arg;
	g->next = m->gathers;
	m->gathers = g;
	g->left = 1;
	ask_all(g, export_id, questions, count);
	if (--g->left == 0)
		reactor_timer_set(&m->reactor, &g->end, 0);
	return 0;
}

void gather_end_all(struct master *m)
{
	while (m->gathers)
		finish(&m->gathers->end);
}
