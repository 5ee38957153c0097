/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See drain.h. What is left is counted anew whenever somebody leaves, in a turn of its own, as
 * those who tell of it walk lists. The removal of an export that is kept in the state file is saved
 * when it begins: after that nothing can fail but memory.
 */
#include "drain.h"

#include "access.h"
#include "change.h"
#include "log.h"
#include "master.h"
#include "state.h"
#include "util.h"

#include <errno.h>

static unsigned clients_of_servers(const struct master *m, uint32_t id)
{
	unsigned n = 0;

	for (const struct worker *w = m->workers; w; w = w->next)
		n += w->export_id == id && w->state != WORKER_STOPPING ? w->client_count : 0;
	return n;
}

/* A snapshot with a server of its own is in use by itself. */
unsigned drain_clients(const struct master *m, uint32_t id)
{
	unsigned n = clients_of_servers(m, id);

	for (size_t i = 0; i < m->exports.count; i++) {
		const struct export_entry *e = &m->exports.entries[i];

		if (e->parent == id && e->detached)
			n += clients_of_servers(m, e->id);
	}
	return n;
}

bool drain_hides(const struct master *m, const struct export_entry *e)
{
	const struct export_entry *parent = e->parent ? exports_by_id(&m->exports, e->parent) : e;

	return e->draining || (parent && parent->draining);
}

/* The end of it. */

static void finish(struct master *m, uint32_t id)
{
	struct export_entry *e = exports_by_id(&m->exports, id);
	struct export_config *next = e->next;

	log_export(LOG_LEVEL_INFO, e->config.name, "its last client has left; %s",
		next ? "changed" : "removed");
	e->next = NULL;
	e->draining = false;
	if (next) {
		if (change_export(m, id, next, true) < 0)
			log_export(LOG_LEVEL_ERROR, e->config.name, "out of memory; not changed");
		access_changed(m, exports_by_id(&m->exports, id));
		export_config_free(next);
		free(next);
		return;
	}
	if (e->config.source == EXPORT_FROM_STATE)
		e->config.source = EXPORT_FROM_OPTION; /* the file does not have it any more */
	change_remove(m, id, NULL);
}

/* Entries move when one goes. */
static bool finish_one(struct master *m)
{
	for (size_t i = 0; i < m->exports.count; i++) {
		const struct export_entry *e = &m->exports.entries[i];

		if (!e->draining || drain_clients(m, e->id) > 0)
			continue;
		finish(m, e->id);
		return true;
	}
	return false;
}

static void look(struct reactor_timer *t)
{
	struct master *m = container_of(t, struct master, drains);

	while (!m->ending && finish_one(m))
		;
}

void drain_client_left(struct master *m)
{
	if (m->ending || m->drains.slot)
		return;
	for (size_t i = 0; i < m->exports.count; i++) {
		if (!m->exports.entries[i].draining)
			continue;
		m->drains.fn = look;
		reactor_timer_set(&m->reactor, &m->drains, 0);
		return;
	}
}

void drain_end(struct master *m)
{
	reactor_timer_cancel(&m->reactor, &m->drains);
}

/* The beginning. */

static void hide(struct master *m, uint32_t id)
{
	link_forget_export(m, id);
	for (size_t i = 0; i < m->exports.count; i++) {
		if (m->exports.entries[i].parent == id)
			link_forget_export(m, m->exports.entries[i].id);
	}
}

static struct export_config *copy_of(const struct export_config *c)
{
	struct export_config *copy = malloc(sizeof(*copy));

	if (copy && export_config_copy(copy, c) == 0)
		return copy;
	free(copy);
	return NULL;
}

/* An entry that drains away is left out of the state file. */
static int save(struct master *m, const struct export_entry *e, struct err *err)
{
	if (e->config.source != EXPORT_FROM_STATE || e->next)
		return 0;
	return state_save(m->options->dbpath, &m->exports, err);
}

int drain_begin(
	struct master *m, uint32_t id, const struct export_config *next, bool *ret, struct err *err)
{
	struct export_entry *e = exports_by_id(&m->exports, id);
	struct export_config *copy = next ? copy_of(next) : NULL;
	int r;

	if (next && !copy)
		return err_set(err, ENOMEM, "out of memory");
	exports_forget_next(e);
	e->next = copy;
	e->draining = true;
	r = save(m, e, err);
	if (r < 0) {
		exports_forget_next(e);
		return r;
	}
	*ret = drain_clients(m, id) > 0;
	hide(m, id);
	worker_ask_again(m, id);
	if (!*ret)
		finish(m, id);
	return 0;
}

void drain_cancel(struct master *m, uint32_t id)
{
	struct export_entry *e = exports_by_id(&m->exports, id);

	if (!e || !e->draining)
		return;
	exports_forget_next(e);
	access_changed(m, e);
}
