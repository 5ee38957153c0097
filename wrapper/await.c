/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See await.h. A server that was told to end is in the master's list until it has been reaped. The
 * answer goes out in a turn of its own, for whoever reaps walks lists.
 */
#include "await.h"

#include "master.h"
#include "util.h"

#include <string.h>

struct await {
	struct master *master;
	struct ctl_conn *conn; /* NULL: nobody is answered */
	json_t *reply;         /* NULL: not there yet */
	struct reactor_timer end;
	struct await *next;
	uint32_t *ids;
	size_t count;
};

static bool is_meant(const struct await *a, uint32_t id)
{
	for (size_t i = 0; i < a->count; i++) {
		if (a->ids[i] == id)
			return true;
	}
	return false;
}

static bool is_over(const struct await *a)
{
	for (const struct worker *w = a->master->workers; w; w = w->next) {
		if (w->state == WORKER_STOPPING && is_meant(a, w->export_id))
			return false;
	}
	return true;
}

void await_free(struct await *a)
{
	struct await **p = &a->master->awaits;

	while (*p != a)
		p = &(*p)->next;
	*p = a->next;
	reactor_timer_cancel(&a->master->reactor, &a->end);
	json_decref(a->reply);
	free(a->ids);
	free(a);
}

/* All have ended, or it takes too long; the wrapper kills them then. */
static void finish(struct reactor_timer *t)
{
	struct await *a = container_of(t, struct await, end);
	struct ctl_conn *c = a->conn;
	json_t *reply = json_incref(a->reply);

	await_free(a);
	if (!c) {
		json_decref(reply);
		return;
	}
	ctl_send(c, reply, -1);
	ctl_resume(c);
}

struct await *await_new(struct master *m)
{
	struct await *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->master = m;
	a->end.fn = finish;
	a->next = m->awaits;
	m->awaits = a;
	return a;
}

static void add(struct await *a, uint32_t id)
{
	uint32_t *more = realloc(a->ids, (a->count + 1) * sizeof(*more));

	if (!more)
		return;
	a->ids = more;
	more[a->count++] = id;
}

void await_add(struct await *a, uint32_t export_id)
{
	const struct exports *t = &a->master->exports;

	add(a, export_id);
	for (size_t i = 0; i < t->count; i++) {
		if (t->entries[i].parent == export_id && t->entries[i].detached)
			add(a, t->entries[i].id);
	}
}

unsigned await_stop(struct await *a)
{
	unsigned clients = 0;

	for (struct worker *w = a->master->workers, *next; w; w = next) {
		next = w->next;
		if (w->state == WORKER_STOPPING || !is_meant(a, w->export_id))
			continue;
		clients += w->client_count;
		worker_retire(w);
	}
	return clients;
}

void await_answer(struct await *a, struct ctl_conn *c, json_t *reply)
{
	a->conn = c;
	a->reply = reply;
	reactor_timer_set(&a->master->reactor, &a->end, is_over(a) ? 0 : AWAIT_MS);
}

void await_worker_gone(struct master *m)
{
	for (struct await *a = m->awaits; a; a = a->next) {
		if (a->reply && is_over(a))
			reactor_timer_set(&m->reactor, &a->end, 0);
	}
}

void await_gone(struct master *m, struct ctl_conn *c)
{
	for (struct await *a = m->awaits; a; a = a->next) {
		if (a->conn == c)
			a->conn = NULL;
	}
}

void await_end(struct master *m)
{
	while (m->awaits)
		await_free(m->awaits);
}
