/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See change.h. Entries move when the table changes, so ids are kept and entries looked up anew.
 * The negotiator hears of an entry as a whole, after it has changed.
 */
#include "change.h"

#include "access.h"
#include "log.h"
#include "master.h"
#include "migrate.h"
#include "snapshots.h"
#include "state.h"
#include "util.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void warn_if_missing(const struct export_config *c)
{
	if (c->kind != EXPORT_PROXY && access(c->image, F_OK) < 0)
		log_export(LOG_LEVEL_WARN, c->name, "%s: %s; served once the file is there",
			c->image, strerror(errno));
}

int change_add(struct master *m, const struct export_config *c, struct err *err)
{
	struct export_config copy = *c; /* borrows all of it */
	struct export_entry *e;
	int ret;

	copy.source = EXPORT_FROM_CONFIG;
	ret = exports_add(&m->exports, &copy, &e, err);
	if (ret < 0)
		return ret;
	warn_if_missing(&e->config);
	return master_export_added(m, e, err);
}

/* Changes. */

void change_tell_limits(struct master *m, const struct export_entry *e)
{
	const struct export_config *c = &e->config;
	uint64_t idle = c->idle_timeout ? c->idle_timeout : m->options->idle_timeout;
	struct worker *w = worker_for(m, e->id);

	if (w && w->ctl.fd >= 0)
		ctl_send(&w->ctl,
			json_pack("{s:s, s:I, s:I, s:I}", "cmd", "limits", "requests",
				(json_int_t)c->limit_requests, "bandwidth",
				(json_int_t)c->limit_bandwidth, "idle", (json_int_t)idle),
			-1);
}

static bool is_other_disk(const struct export_config *a, const struct export_config *b)
{
	return a->kind != b->kind || strcmp(a->image, b->image) != 0;
}

/* A copy, and a migration, are of the proxy that was. */
static void forget_copy(struct master *m, struct export_entry *e)
{
	migrate_forget(m, e->id);
	json_decref(e->migration);
	e->migration = NULL;
	e->copy = EXPORT_COPY_NONE;
	e->copy_rate = 0;
}

static void forget_failures(struct export_entry *e)
{
	backoff_forget(&e->backoff);
	e->trouble[0] = 0;
	e->image_failed = false;
}

/* The configuration takes what was the state file's, where it stays for later. */
static int shelve(struct master *m, const struct export_entry *e, const struct export_config *to)
{
	if (e->config.source != EXPORT_FROM_STATE || to->source != EXPORT_FROM_CONFIG)
		return 0;
	return state_shelve(&m->exports, e);
}

int change_export(struct master *m, uint32_t id, struct export_config *to, bool restart)
{
	struct export_entry *e = exports_by_id(&m->exports, id);
	bool other = is_other_disk(&e->config, to);
	struct worker *w = worker_for(m, id);

	if (shelve(m, e, to) < 0)
		return -ENOMEM;
	if (restart && w)
		worker_retire(w);
	if (other)
		snapshots_forget(m, id);
	e = exports_by_id(&m->exports, id);
	if (other || to->kind != EXPORT_PROXY || e->config.source != to->source)
		forget_copy(m, e);
	if (restart)
		forget_failures(e);
	export_config_free(&e->config);
	e->config = *to;
	*to = (struct export_config){0};
	exports_forget_next(e);
	master_settle_serial(m, id);
	access_changed(m, e);
	if (!restart)
		change_tell_limits(m, e);
	if (other)
		warn_if_missing(&e->config);
	return 0;
}

/* Ends. */

/* As the next start would do it. */
static void uncover(struct master *m, const char *name)
{
	struct export_entry *e;
	struct err err = {0};

	if (!json_object_get(m->exports.foreign, name))
		return;
	if (state_unshelve(m->options->dbpath, &m->exports, name, &e, &err) < 0) {
		log_export(LOG_LEVEL_ERROR, name, "%s", err.text);
		return;
	}
	if (e)
		master_export_added(m, e, &err);
}

int change_remove(struct master *m, uint32_t id, struct err *err)
{
	const struct export_entry *e = exports_by_id(&m->exports, id);
	CLEANUP_FREE char *name = e ? strdup(e->config.name) : NULL;
	bool uncovers = e && e->config.source == EXPORT_FROM_CONFIG;
	int ret = master_export_remove(m, id, err);

	if (ret == 0 && uncovers && name)
		uncover(m, name);
	return ret;
}
