/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See directory.h. Rules follow their export one by one, for a list may be longer than a message;
 * what has not arrived completely is staged, and nobody sees it.
 */
#include "directory.h"

#include "nbd.h"
#include "util.h"

#include <string.h>

static void free_rules(struct directory_rules *r)
{
	for (size_t i = 0; i < IPC_RULE_LISTS; i++)
		peers_done(&r->lists[i]);
}

static void free_entry(struct directory_entry *e)
{
	free_rules(&e->rules);
	free(e->name);
	*e = (struct directory_entry){0};
}

static void unstage(struct directory *d)
{
	free_entry(&d->staged);
	d->staging_common = false;
	d->rules_left = 0;
}

void directory_done(struct directory *d)
{
	while (d->count > 0)
		directory_forget(d, d->entries[0].id);
	free(d->entries);
	unstage(d);
	free_rules(&d->common);
	*d = (struct directory){0};
}

/* Learning. */

static bool reserve(struct directory *d)
{
	size_t room = d->room ? 2 * d->room : 16;
	void *p;

	if (d->count < d->room)
		return true;
	p = realloc(d->entries, room * sizeof(*d->entries));
	if (!p)
		return false;
	d->entries = p;
	d->room = room;
	return true;
}

/* Complete: it takes the place of the one before, whose facts may be old. */
static bool commit(struct directory *d)
{
	struct directory_entry *before;

	if (d->staging_common) {
		free_rules(&d->common);
		d->common = d->staged.rules;
		d->staged.rules = (struct directory_rules){0};
		unstage(d);
		return true;
	}
	before = directory_by_id(d, d->staged.id);
	if (!before && !reserve(d)) {
		unstage(d);
		return false;
	}
	if (before)
		free_entry(before);
	else
		before = &d->entries[d->count++];
	*before = d->staged;
	d->staged = (struct directory_entry){0};
	return true;
}

bool directory_learn(struct directory *d, const void *body, size_t len)
{
	const struct ipc_export *e = body;
	const char *strings = (const char *)(e + 1);
	char *copy;

	unstage(d);
	if (len < sizeof(*e) || len != sizeof(*e) + e->name_len + e->description_len)
		return false;
	copy = malloc((size_t)e->name_len + e->description_len + 2);
	if (!copy)
		return false;
	memcpy(copy, strings, e->name_len);
	copy[e->name_len] = 0;
	memcpy(copy + e->name_len + 1, strings + e->name_len, e->description_len);
	copy[e->name_len + 1 + e->description_len] = 0;
	d->staged = (struct directory_entry){.id = e->id,
		.is_default = e->is_default,
		.is_snapshot = e->is_snapshot,
		.name_len = e->name_len,
		.name = copy,
		.description = copy + e->name_len + 1};
	d->rules_left = e->rules;
	return d->rules_left ? true : commit(d);
}

bool directory_learn_common(struct directory *d, const void *body, size_t len)
{
	unstage(d);
	if (len != sizeof(uint32_t))
		return false;
	d->staging_common = true;
	d->rules_left = *(const uint32_t *)body;
	return d->rules_left ? true : commit(d);
}

static bool add_rule(struct peers *list, const struct peers_rule *rule)
{
	struct peers_rule *more = realloc(list->rules, (list->count + 1) * sizeof(*more));

	if (!more)
		return false;
	list->rules = more;
	more[list->count++] = *rule;
	return true;
}

bool directory_learn_rule(struct directory *d, const void *body, size_t len)
{
	const struct ipc_rule *r = body;

	if (!d->rules_left || len != sizeof(*r) || r->list >= IPC_RULE_LISTS ||
		!add_rule(&d->staged.rules.lists[r->list], &r->rule)) {
		unstage(d);
		return false;
	}
	return --d->rules_left ? true : commit(d);
}

void directory_forget(struct directory *d, uint32_t id)
{
	struct directory_entry *e = directory_by_id(d, id);

	if (!e)
		return;
	free_entry(e);
	d->count--;
	memmove(e, e + 1, (size_t)(d->entries + d->count - e) * sizeof(*e));
}

/* Looking up. */

static bool admits(const struct directory_rules *r, const struct peers_id *who)
{
	return peers_admit(&r->lists[IPC_RULE_ALLOW], &r->lists[IPC_RULE_DENY], who);
}

bool directory_admits(const struct directory *d, const struct peers_id *who)
{
	return admits(&d->common, who);
}

static uint32_t find_default(const struct directory *d, const struct peers_id *who)
{
	uint32_t only = NEG_NO_EXPORT;
	size_t found = 0;

	for (size_t i = 0; i < d->count; i++) {
		const struct directory_entry *e = &d->entries[i];

		if (!admits(&e->rules, who))
			continue;
		if (e->is_default)
			return e->id;
		if (e->is_snapshot)
			continue;
		only = e->id;
		found++;
	}
	return found == 1 ? only : NEG_NO_EXPORT;
}

uint32_t directory_find(
	const struct directory *d, const struct peers_id *who, const char *name, size_t len)
{
	if (len == 0)
		return find_default(d, who);
	for (size_t i = 0; i < d->count; i++) {
		const struct directory_entry *e = &d->entries[i];

		if (e->name_len == len && memcmp(e->name, name, len) == 0)
			return admits(&e->rules, who) ? e->id : NEG_NO_EXPORT;
	}
	return NEG_NO_EXPORT;
}

bool directory_at(
	const struct directory *d, const struct peers_id *who, size_t index, struct neg_item *ret)
{
	if (index >= d->count)
		return false;
	directory_item(&d->entries[index], ret);
	if (!admits(&d->entries[index].rules, who))
		ret->name = NULL;
	return true;
}

struct directory_entry *directory_by_id(const struct directory *d, uint32_t id)
{
	for (size_t i = 0; i < d->count; i++) {
		if (d->entries[i].id == id)
			return &d->entries[i];
	}
	return NULL;
}

void directory_item(const struct directory_entry *e, struct neg_item *ret)
{
	ret->name = e->name;
	ret->description = *e->description ? e->description : NULL;
}

struct export_facts directory_facts(const struct directory_entry *e, const struct peers_id *who,
	const struct export_facts *facts)
{
	struct export_facts f = *facts;

	if (peers_match(&e->rules.lists[IPC_RULE_READONLY], who))
		export_make_readonly(&f);
	return f;
}
