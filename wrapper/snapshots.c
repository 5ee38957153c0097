/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Derived entries come by a server's word and go by it, by the end of a server that had not
 * completed them, and with their export. NAME@snapshot is an entry of its own that is changed to
 * stand for the newest one left. Entries move when the table changes, so ids are kept, not
 * pointers.
 */
#include "snapshots.h"

#include "log.h"
#include "master.h"
#include "nbd.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool is_of(const struct export_entry *e, uint32_t parent)
{
	return e->parent == parent && parent != 0;
}

struct export_entry *snapshots_find(const struct master *m, uint32_t parent, uint64_t id)
{
	for (size_t i = 0; i < m->exports.count; i++) {
		struct export_entry *e = &m->exports.entries[i];

		if (is_of(e, parent) && !e->newest && e->snapshot == id)
			return e;
	}
	return NULL;
}

static struct export_entry *find_newest(const struct master *m, uint32_t parent)
{
	for (size_t i = 0; i < m->exports.count; i++) {
		if (is_of(&m->exports.entries[i], parent) && m->exports.entries[i].newest)
			return &m->exports.entries[i];
	}
	return NULL;
}

uint32_t snapshots_server(const struct export_entry *e)
{
	return e->parent && !e->detached ? e->parent : e->id;
}

struct export_facts snapshots_facts(const struct export_facts *parent, uint64_t size)
{
	struct export_facts facts = *parent;

	facts.size = size;

	export_make_readonly(&facts);
	return facts;
}

int snapshots_check(const struct master *m, const struct export_entry *parent, struct err *err)
{
	CLEANUP_FREE char *name = NULL;
	const struct export_entry *other;

	if (asprintf(&name, "%s@snapshot", parent->config.name) < 0)
		return err_set(err, ENOMEM, "out of memory");
	other = exports_by_name(&m->exports, name);
	if ((other && !is_of(other, parent->id)) ||
		(m->exports.foreign && json_object_get(m->exports.foreign, name)))
		return err_set(err, EEXIST,
			"the newest snapshot would be exported as '%.100s', but another export has that name",
			name);
	return 0;
}

static uint64_t size_of_export(const struct master *m, uint32_t id)
{
	const struct worker *w = worker_for((struct master *)(uintptr_t)m, id);

	return w ? w->facts.size : 0;
}

/* A NAME@SUFFIX that stands for the snapshot ID. */
static int add_entry(struct master *m, uint32_t parent_id, const char *suffix, uint64_t id,
	const char *path, struct export_entry **ret, struct err *err)
{
	const struct export_entry *parent = exports_by_id(&m->exports, parent_id);
	CLEANUP_FREE char *name = NULL;
	int r;

	if (asprintf(&name, "%s@%s", parent->config.name, suffix) < 0)
		return err_set(err, ENOMEM, "out of memory");
	r = exports_add(&m->exports,
		&(struct export_config){.name = name,
			.image = path,
			.readonly = true,
			.source = EXPORT_FROM_SNAPSHOT,
			.allow = parent->config.allow,
			.deny = parent->config.deny,
			.readonly_for = parent->config.readonly_for},
		ret, err);
	if (r < 0)
		return r;
	(*ret)->parent = parent_id;
	(*ret)->snapshot = id;
	(*ret)->size = size_of_export(m, parent_id);
	return 0;
}

/* Makes NAME@snapshot stand for FROM. */
static int follow(struct master *m, uint32_t parent, uint64_t id, struct err *err)
{
	const struct export_entry *from = snapshots_find(m, parent, id);
	CLEANUP_FREE char *path = strdup(from->config.image);
	bool complete = from->complete, detached = from->detached;
	uint64_t size = from->size;
	struct export_entry *newest = find_newest(m, parent);
	int ret = path ? 0 : err_set(err, ENOMEM, "out of memory");

	/* One with a server of its own has another image open: a new entry gets a new server. */
	if (newest && (newest->detached || detached)) {
		master_export_remove(m, newest->id, NULL);
		newest = NULL;
	}
	if (ret == 0 && !newest) {
		ret = add_entry(m, parent, "snapshot", id, path, &newest, err);
		if (ret < 0)
			return ret;
		newest->newest = true;
		ret = master_export_added(m, newest, err);
	}
	if (ret < 0)
		return ret;
	free((void *)(uintptr_t)newest->config.image);
	newest->config.image = path;
	path = NULL;
	newest->snapshot = id;
	newest->size = size;
	newest->complete = complete;
	newest->detached = detached;
	return 0;
}

static void set_complete(struct master *m, uint32_t parent, uint64_t id)
{
	struct export_entry *e = snapshots_find(m, parent, id), *newest = find_newest(m, parent);

	e->complete = true;
	if (newest && newest->snapshot == id)
		newest->complete = true;
}

int snapshots_add(struct master *m, uint32_t parent, uint64_t id, const char *path, bool complete,
	struct err *err)
{
	struct export_entry *e = snapshots_find(m, parent, id);
	char suffix[24];
	int ret = 0;

	if (!exports_by_id(&m->exports, parent))
		return err_set(err, ENOENT, "the export has been removed");
	if (!e) {
		snprintf(suffix, sizeof(suffix), "%llu", (unsigned long long)id);
		ret = add_entry(m, parent, suffix, id, path, &e, err);
		if (ret == 0)
			ret = master_export_added(m, e, err);
		if (ret == 0)
			ret = follow(m, parent, id, err);
	}
	if (ret == 0 && complete)
		set_complete(m, parent, id);
	return ret;
}

void snapshots_set_size(struct master *m, uint32_t parent, uint64_t id, uint64_t size)
{
	for (size_t i = 0; size > 0 && i < m->exports.count; i++) {
		struct export_entry *e = &m->exports.entries[i];

		if (is_of(e, parent) && e->snapshot == id)
			e->size = size;
	}
}

static void take_rules(struct peers *to, const struct peers *from)
{
	struct peers copy;

	if (peers_copy(&copy, from) < 0)
		return; /* without memory it keeps what it has */
	peers_done(to);
	*to = copy;
}

void snapshots_inherit(struct master *m, uint32_t parent)
{
	const struct export_entry *from = exports_by_id(&m->exports, parent);

	for (size_t i = 0; from && i < m->exports.count; i++) {
		struct export_entry *e = &m->exports.entries[i];

		if (!is_of(e, parent))
			continue;
		take_rules(&e->config.allow, &from->config.allow);
		take_rules(&e->config.deny, &from->config.deny);
		take_rules(&e->config.readonly_for, &from->config.readonly_for);
		link_send_export(m, e);
	}
}

static const struct export_entry *latest_left(const struct master *m, uint32_t parent)
{
	const struct export_entry *found = NULL;

	for (size_t i = 0; i < m->exports.count; i++) {
		const struct export_entry *e = &m->exports.entries[i];

		if (is_of(e, parent) && !e->newest && (!found || e->snapshot > found->snapshot))
			found = e;
	}
	return found;
}

uint64_t snapshots_last(const struct master *m, uint32_t parent)
{
	const struct export_entry *e = latest_left(m, parent);

	return e ? e->snapshot : 0;
}

void snapshots_restore(struct master *m, uint32_t parent, uint64_t id, const char *path,
	bool newest, bool complete, bool detached)
{
	struct export_entry *e;
	char suffix[24] = "snapshot";
	struct err err;

	if (!newest)
		snprintf(suffix, sizeof(suffix), "%llu", (unsigned long long)id);
	if (add_entry(m, parent, suffix, id, path, &e, &err) < 0)
		return;
	e->newest = newest;
	e->complete = complete;
	e->detached = detached;
}

struct export_entry *snapshots_adopt(struct master *m, const char *name, const char *path)
{
	const char *at = strrchr(name, '@');
	CLEANUP_FREE char *of = at ? strndup(name, (size_t)(at - name)) : NULL;
	const struct export_entry *parent = of ? exports_by_name(&m->exports, of) : NULL;
	struct export_entry *e = NULL;
	uint32_t id = parent ? parent->id : 0;
	uint64_t number;
	struct err err;

	if (!parent || parent->parent || str_number(at + 1, 1, INT64_MAX, &number) < 0 ||
		add_entry(m, id, at + 1, number, path, &e, &err) < 0)
		return NULL;
	e->complete = e->detached = true;
	if (master_export_added(m, e, &err) < 0 ||
		follow(m, id, latest_left(m, id)->snapshot, &err) < 0)
		log_export(LOG_LEVEL_ERROR, name, "%s", err.text);
	return exports_by_name(&m->exports, name);
}

void snapshots_remove(struct master *m, uint32_t parent, uint64_t id)
{
	const struct export_entry *e = snapshots_find(m, parent, id), *left;
	const struct export_entry *newest = find_newest(m, parent);
	struct err err = {0};

	if (!e)
		return;
	master_export_remove(m, e->id, NULL);
	newest = find_newest(m, parent);
	left = latest_left(m, parent);
	if (newest && !left)
		master_export_remove(m, newest->id, NULL);
	else if (newest && newest->snapshot == id && follow(m, parent, left->snapshot, &err) < 0)
		log_error("%s", err.text);
}

void snapshots_forget(struct master *m, uint32_t parent)
{
	for (size_t i = m->exports.count; i-- > 0;) {
		if (is_of(&m->exports.entries[i], parent))
			master_export_remove(m, m->exports.entries[i].id, NULL);
	}
}

/* Where the server said something of: by the number of the snapshot, not by its words. */
void snapshots_event(struct worker *w, json_t *msg)
{
	const char *state = json_string_value(json_object_get(msg, "state"));
	const char *path = json_string_value(json_object_get(msg, "path"));
	const char *error = json_string_value(json_object_get(msg, "error"));
	uint64_t id = (uint64_t)json_integer_value(json_object_get(msg, "id"));
	struct err err = {0};

	if (!state || w->state != WORKER_READY)
		return;
	if (strcmp(state, "failed") == 0 || strcmp(state, "dropped") == 0) {
		if (*state == 'f')
			log_export(LOG_LEVEL_ERROR, w->export_name, "snapshot %llu failed: %s",
				(unsigned long long)id, error ? error : "no reason given");
		else
			log_export(LOG_LEVEL_INFO, w->export_name,
				"snapshot %llu is not exported any more", (unsigned long long)id);
		snapshots_remove(w->master, w->export_id, id);
		return;
	}
	if (path &&
		snapshots_add(w->master, w->export_id, id, path, strcmp(state, "complete") == 0,
			&err) < 0)
		log_export(LOG_LEVEL_ERROR, w->export_name,
			"snapshot %llu (%s) is not exported: %s", (unsigned long long)id, path,
			err.text);
	else if (path && strcmp(state, "complete") == 0)
		log_export(LOG_LEVEL_INFO, w->export_name, "snapshot %llu is complete: %s",
			(unsigned long long)id, path);
	snapshots_set_size(w->master, w->export_id, id,
		(uint64_t)json_integer_value(json_object_get(msg, "size")));
}

/* Incomplete ones go with it. */
static void server_gone(struct master *m, uint32_t parent)
{
	for (size_t i = m->exports.count; i-- > 0 && !m->ending;) {
		struct export_entry *e = &m->exports.entries[i];

		if (!is_of(e, parent) || e->detached)
			continue;
		e->detached = e->complete;
		if (e->complete)
			continue;
		if (!e->newest)
			log_export(LOG_LEVEL_ERROR, e->config.name,
				"its server ended before the snapshot was complete");
		master_export_remove(m, e->id, NULL);
	}
	/* The newest one left may be an older one now. */
	if (!m->ending && latest_left(m, parent) && !find_newest(m, parent))
		follow(m, parent, latest_left(m, parent)->snapshot, NULL);
}

void snapshots_worker_gone(struct worker *w)
{
	server_gone(w->master, w->export_id);
}

static uint32_t find_left_alone(struct master *m)
{
	for (size_t i = 0; i < m->exports.count; i++) {
		const struct export_entry *e = &m->exports.entries[i];

		if (e->parent && !e->detached && !worker_for(m, e->parent))
			return e->parent;
	}
	return 0;
}

void snapshots_settle(struct master *m)
{
	uint32_t parent;

	while (!m->ending && (parent = find_left_alone(m)))
		server_gone(m, parent);
}
