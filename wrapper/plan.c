/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a table of exports and two readings of the configuration to a plan; see plan.h. What a plan
 * says in words is in plan_text.c. Pure.
 */
#include "plan.h"

#include "command.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct maker {
	const struct exports *table;
	const struct plan_side *before, *after;
	struct plan *plan;
};

static const struct export_config *find_config(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->count; i++) {
		if (strcmp(c->exports[i].name, name) == 0)
			return &c->exports[i];
	}
	return NULL;
}

/* Rows. */

static struct plan_row *add_row(struct plan *p, enum plan_change change, const char *name)
{
	struct plan_row *more = realloc(p->rows, (p->count + 1) * sizeof(*more));
	char *copy = strdup(name);

	if (more)
		p->rows = more;
	if (!more || !copy) {
		free(copy);
		return NULL;
	}
	more[p->count] = (struct plan_row){.change = change, .name = copy};
	return &more[p->count++];
}

static struct plan_row *add_known(
	struct plan *p, enum plan_change change, const struct export_entry *e)
{
	struct plan_row *row = add_row(p, change, e->config.name);

	if (!row)
		return NULL;
	row->id = e->id;
	row->source = e->config.source;
	return row;
}

static void add_key(struct plan_row *row, const struct key *k)
{
	if (row->key_count < PLAN_KEYS_MAX)
		row->keys[row->key_count++] = k;
	row->change = PLAN_CHANGED;
	row->restart = row->restart || !(k->where & EXPORT_KEY_LIVE);
}

/* Keys. */

/* A bitmap that is not given is CACHE.bitmap. */
static bool is_usual_bitmap(const struct export_config *live, const struct export_config *after)
{
	size_t len = strlen(after->image);

	return !after->bitmap && live->bitmap && strncmp(live->bitmap, after->image, len) == 0 &&
		strcmp(live->bitmap + len, EXPORT_BITMAP_SUFFIX) == 0;
}

static bool differs(
	const struct key *k, const struct export_config *live, const struct export_config *after)
{
	if (k->offset == offsetof(struct export_config, bitmap) && is_usual_bitmap(live, after))
		return false;
	return !key_equal(k, after, live);
}

static bool has_changed(const struct key *k, const struct export_config *live,
	const struct export_config *before, const struct export_config *after)
{
	return differs(k, live, after) && (!before || !key_equal(k, after, before));
}

/* Host and port of one origin with the name of another would be a third one. */
static bool is_of_origin(const struct key *k)
{
	return k->offset == offsetof(struct export_config, uri) ||
		k->offset == offsetof(struct export_config, host) ||
		k->offset == offsetof(struct export_config, port) ||
		k->offset == offsetof(struct export_config, exportname);
}

static bool origin_has_changed(const struct export_config *live, const struct export_config *before,
	const struct export_config *after)
{
	for (size_t i = 0; i < export_keys.count; i++) {
		const struct key *k = &export_keys.keys[i];

		if (is_of_origin(k) && has_changed(k, live, before, after))
			return true;
	}
	return false;
}

/* A proxy that was switched is a target: what the file says of a proxy does not concern it. */
static int kind_then(const struct export_config *live, const struct export_config *before,
	const struct export_config *after)
{
	return has_changed(key_find(&export_keys, "mode"), live, before, after) ? after->kind
										: live->kind;
}

/* The image of a proxy goes by another name, and has a row for each. */
static bool concerns(const struct key *k, const struct export_config *live, int kind)
{
	if (k->where & 1U << kind)
		return true;
	return kind != live->kind && !k->alias && k->where & 1U << live->kind &&
		key_is_given(k, live);
}

static void add_changes(struct plan_row *row, const struct export_config *live,
	const struct export_config *before, const struct export_config *after)
{
	const int kind = kind_then(live, before, after);
	bool another_origin = origin_has_changed(live, before, after);

	for (size_t i = 0; i < export_keys.count; i++) {
		const struct key *k = &export_keys.keys[i];
		bool changed = kind != live->kind || (is_of_origin(k) && another_origin)
			? differs(k, live, after)
			: has_changed(k, live, before, after);

		if (changed && concerns(k, live, kind))
			add_key(row, k);
	}
}

static bool is_same(const struct export_config *a, const struct export_config *b)
{
	return !key_difference(&export_keys, a, b);
}

/* What all exports are served as: what it is for this one may change with it. */
static void add_wrapper_changes(
	struct plan_row *row, const struct maker *mk, const struct export_entry *e)
{
	const struct wrapper_options *was = mk->before->options, *is = mk->after->options;

	if (command_readonly(was, e) == command_readonly(is, e) &&
		command_kind(was, e) == command_kind(is, e))
		return;
	row->change = PLAN_CHANGED;
	row->restart = true;
	if (was->readonly != is->readonly)
		add_key(row, key_find(&wrapper_keys, "readonly"));
	if (was->cow != is->cow)
		add_key(row, key_find(&wrapper_keys, "cow"));
}

/* Exports of the file. */

static bool is_kept_in_state(const struct exports *t, const char *name)
{
	json_t *entry = json_object_get(t->foreign, name);
	const char *mode = json_string_value(json_object_get(entry, "mode"));
	enum export_kind kind;

	return mode && export_config_find_mode(mode, &kind);
}

static int plan_removal(const struct maker *mk, const struct export_entry *e)
{
	struct plan_row *row = add_known(mk->plan, PLAN_REMOVED, e);

	if (!row)
		return -ENOMEM;
	row->waiting = e->draining && !e->next;
	row->uncovers = is_kept_in_state(mk->table, e->config.name);
	return 0;
}

/* One that waits for its clients to leave goes on so if that is what the file wants still. */
static bool goes_on_waiting(const struct export_entry *e, const struct export_config *before,
	const struct export_config *after)
{
	return e->draining && e->next &&
		(is_same(e->next, after) || (before && is_same(before, after)));
}

static int plan_given(
	const struct maker *mk, const struct export_entry *e, const struct export_config *after)
{
	const struct export_config *before = find_config(mk->before->config, e->config.name);
	struct plan_row *row = add_known(mk->plan, PLAN_UNCHANGED, e);

	if (!row)
		return -ENOMEM;
	row->to = after;
	row->takes = e->config.source == EXPORT_FROM_STATE;
	row->change = row->takes ? PLAN_CHANGED : PLAN_UNCHANGED;
	row->waiting = goes_on_waiting(e, before, after);
	add_changes(row, &e->config, e->draining ? NULL : before, after);
	add_wrapper_changes(row, mk, e);
	/* Nothing left to wait for: the file has what is served. */
	row->waiting = row->waiting && row->restart;
	row->revived = e->draining && !row->waiting;
	return 0;
}

/* Exports of other sources. */

static int plan_other(const struct maker *mk, const struct export_entry *e)
{
	struct plan_row *row = add_known(mk->plan, PLAN_UNCHANGED, e);

	if (!row)
		return -ENOMEM;
	add_wrapper_changes(row, mk, e);
	row->waiting = row->restart && e->draining;
	return 0;
}

static int plan_entry(const struct maker *mk, const struct export_entry *e)
{
	const struct export_config *after;

	if (e->parent)
		return 0; /* a snapshot goes with its export */
	after = find_config(mk->after->config, e->config.name);
	if (after && e->config.source != EXPORT_FROM_OPTION)
		return plan_given(mk, e, after);
	return e->config.source == EXPORT_FROM_CONFIG ? plan_removal(mk, e) : plan_other(mk, e);
}

/* What is new. */

static int add_conflict(struct plan *p, const char *name, const char *why)
{
	char **more = realloc(p->conflicts, (p->conflict_count + 1) * sizeof(*more));
	char *line;

	if (!more)
		return -ENOMEM;
	p->conflicts = more;
	if (asprintf(&line, "export '%.200s': %s", name, why) < 0)
		return -ENOMEM;
	more[p->conflict_count++] = line;
	return 0;
}

static int plan_addition(const struct maker *mk, const struct export_config *c)
{
	const struct export_entry *e = exports_by_name(mk->table, c->name);
	struct plan_row *row;

	if (e && e->config.source == EXPORT_FROM_OPTION)
		return add_conflict(mk->plan, c->name, "--imgfile has one of this name already");
	if (e && e->config.source == EXPORT_FROM_SNAPSHOT)
		return add_conflict(mk->plan, c->name,
			"a snapshot has this name; drop that first, or choose another");
	if (e)
		return 0;
	row = add_row(mk->plan, PLAN_ADDED, c->name);
	if (!row)
		return -ENOMEM;
	row->source = EXPORT_FROM_CONFIG;
	row->to = c;
	row->hides = json_object_get(mk->table->foreign, c->name);
	return 0;
}

static void plan_wrapper(const struct maker *mk)
{
	const struct wrapper_config *was = &mk->before->config->wrapper;
	struct plan *p = mk->plan;

	for (size_t i = 0; i < wrapper_keys.count && p->wrapper_key_count < PLAN_KEYS_MAX; i++) {
		const struct key *k = &wrapper_keys.keys[i];

		if (!key_equal(k, was, &mk->after->config->wrapper))
			p->wrapper_keys[p->wrapper_key_count++] = k;
	}
}

int plan_make(const struct exports *table, const struct plan_side *before,
	const struct plan_side *after, struct plan *ret)
{
	const struct maker mk = {table, before, after, ret};
	int r = 0;

	*ret = (struct plan){0};
	for (size_t i = 0; i < table->count && r == 0; i++)
		r = plan_entry(&mk, &table->entries[i]);
	for (size_t i = 0; i < after->config->count && r == 0; i++)
		r = plan_addition(&mk, &after->config->exports[i]);
	plan_wrapper(&mk);
	return r;
}

void plan_done(struct plan *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->rows[i].name);
	for (size_t i = 0; i < p->conflict_count; i++)
		free(p->conflicts[i]);
	free(p->rows);
	free(p->conflicts);
	*p = (struct plan){0};
}

/* Carrying out. */

static bool is_of_exports(const struct key *k)
{
	return k >= export_keys.keys && k < export_keys.keys + export_keys.count;
}

/* Of a cache that may be another one. */
static int complete(struct export_config *c, const struct export_config *to)
{
	char *path;

	if (c->kind != EXPORT_PROXY || to->bitmap)
		return 0;
	if (asprintf(&path, "%s%s", c->image, EXPORT_BITMAP_SUFFIX) < 0)
		return -ENOMEM;
	free((void *)(uintptr_t)c->bitmap);
	c->bitmap = path;
	return 0;
}

int plan_merge(
	const struct plan_row *row, const struct export_config *live, struct export_config *ret)
{
	int r = export_config_copy(ret, live);

	if (!row->to)
		return r;
	for (size_t i = 0; i < row->key_count && r == 0; i++) {
		if (is_of_exports(row->keys[i]))
			r = key_copy(row->keys[i], ret, row->to);
	}
	if (r == 0)
		r = complete(ret, row->to);
	if (r < 0)
		export_config_free(ret);
	ret->source = EXPORT_FROM_CONFIG;
	return r;
}

void plan_set_use(struct plan_row *row, unsigned clients, uint64_t old_size, uint64_t size)
{
	bool known = old_size && size;

	row->clients = clients;
	row->old_size = known ? old_size : 0;
	row->size = known ? size : 0;
	if (row->change == PLAN_UNCHANGED && row->size != row->old_size)
		row->change = PLAN_RESIZED;
}

bool plan_is_blocked(const struct plan_row *row)
{
	return (row->change == PLAN_REMOVED || row->restart) && row->clients > 0 && !row->waiting;
}

size_t plan_count(const struct plan *p, enum plan_change change)
{
	size_t n = 0;

	for (size_t i = 0; i < p->count; i++)
		n += p->rows[i].change == change;
	return n;
}

bool plan_is_empty(const struct plan *p)
{
	return plan_count(p, PLAN_UNCHANGED) == p->count && !p->wrapper_key_count;
}
