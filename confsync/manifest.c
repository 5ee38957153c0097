/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entries in memory; see manifest.h. An entry owns its texts, a manifest its entries; what fails
 * leaves nothing half done. The text form is in manifest_text.c, differences in manifest_diff.c.
 */
#include "manifest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Attributes. */

void entry_drop_attrs(struct entry *e)
{
	for (size_t i = 0; i < e->attr_count; i++) {
		free(e->attrs[i].name);
		free(e->attrs[i].value);
	}
	free(e->attrs);
	e->attrs = NULL;
	e->attr_count = 0;
}

static int attr_copy(struct attr *to, const struct attr *from)
{
	to->name = strdup(from->name);
	to->value = malloc(from->len + 1);
	to->len = from->len;
	if (!to->name || !to->value)
		return -ENOMEM;
	if (from->len > 0)
		memcpy(to->value, from->value, from->len);
	to->value[from->len] = 0;
	return 0;
}

static int attrs_copy(struct entry *to, const struct entry *from)
{
	if (from->attr_count == 0)
		return 0;
	to->attrs = calloc(from->attr_count, sizeof(*to->attrs));
	if (!to->attrs)
		return -ENOMEM;
	to->attr_count = from->attr_count;
	for (size_t i = 0; i < from->attr_count; i++) {
		if (attr_copy(&to->attrs[i], &from->attrs[i]) < 0)
			return -ENOMEM;
	}
	return 0;
}

static bool attrs_equal(const struct entry *a, const struct entry *b)
{
	if (a->attr_count != b->attr_count)
		return false;
	for (size_t i = 0; i < a->attr_count; i++) {
		const struct attr *x = &a->attrs[i], *y = &b->attrs[i];

		if (strcmp(x->name, y->name) != 0 || x->len != y->len ||
			(x->len > 0 && memcmp(x->value, y->value, x->len) != 0))
			return false;
	}
	return true;
}

/* Entries. */

void entry_done(struct entry *e)
{
	entry_drop_attrs(e);
	free(e->path);
	free(e->target);
	*e = (struct entry){0};
}

int entry_copy(struct entry *to, const struct entry *from)
{
	*to = *from;
	to->attrs = NULL;
	to->attr_count = 0;
	to->path = strdup(from->path);
	to->target = from->target ? strdup(from->target) : NULL;
	if (!to->path || (from->target && !to->target) || attrs_copy(to, from) < 0) {
		entry_done(to);
		return -ENOMEM;
	}
	return 0;
}

static bool content_equal(const struct entry *a, const struct entry *b)
{
	if (a->type == MANIFEST_FILE)
		return a->size == b->size && memcmp(a->hash, b->hash, MANIFEST_HASH) == 0;
	return a->type != MANIFEST_LINK || strcmp(a->target, b->target) == 0;
}

unsigned entry_difference(const struct entry *a, const struct entry *b)
{
	unsigned what = 0;

	if (a->type != b->type)
		what |= ENTRY_TYPE;
	else if (!content_equal(a, b))
		what |= ENTRY_CONTENT;
	if (a->mode != b->mode)
		what |= ENTRY_MODE;
	if (strcmp(a->owner, b->owner) != 0 || strcmp(a->group, b->group) != 0)
		what |= ENTRY_OWNER;
	if (!attrs_equal(a, b))
		what |= ENTRY_ATTRS;
	return what;
}

/* Manifests. */

void manifest_init(struct manifest *m)
{
	*m = (struct manifest){0};
}

void manifest_done(struct manifest *m)
{
	for (size_t i = 0; i < m->count; i++)
		entry_done(&m->entries[i]);
	free(m->entries);
	manifest_init(m);
}

static int make_room(struct manifest *m, size_t room)
{
	struct entry *p = reallocarray(m->entries, room, sizeof(*p));

	if (!p)
		return -ENOMEM;
	m->entries = p;
	m->room = room;
	return 0;
}

int manifest_add(struct manifest *m, struct entry *e)
{
	int r = 0;

	if (m->count == MANIFEST_ENTRIES_MAX ||
		e->attr_count > MANIFEST_ATTRS_ALL_MAX - m->attr_count)
		r = -E2BIG;
	else if (m->count == m->room)
		r = make_room(m, m->room ? 2 * m->room : 16);
	if (r < 0) {
		entry_done(e);
		return r;
	}
	m->attr_count += e->attr_count;
	m->entries[m->count++] = *e;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->path, ((const struct entry *)b)->path);
}

/* Index of the first entry that is not in order, or count. */
static size_t first_out_of_order(const struct manifest *m)
{
	size_t i = 1;

	while (i < m->count && compare(&m->entries[i - 1], &m->entries[i]) < 0)
		i++;
	return i < m->count ? i : m->count;
}

int manifest_sort(struct manifest *m)
{
	if (first_out_of_order(m) == m->count)
		return 0;
	qsort(m->entries, m->count, sizeof(*m->entries), compare);
	return first_out_of_order(m) == m->count ? 0 : -EEXIST;
}

int manifest_copy(struct manifest *to, const struct manifest *from)
{
	manifest_init(to);
	if (from->count > 0 && make_room(to, from->count) < 0)
		return -ENOMEM;
	to->attr_count = from->attr_count;
	for (size_t i = 0; i < from->count; i++) {
		if (entry_copy(&to->entries[i], &from->entries[i]) < 0) {
			manifest_done(to);
			return -ENOMEM;
		}
		to->count++;
	}
	return 0;
}

static int compare_path(const void *path, const void *e)
{
	return strcmp(path, ((const struct entry *)e)->path);
}

const struct entry *manifest_find(const struct manifest *m, const char *path)
{
	if (m->count == 0)
		return NULL;
	return bsearch(path, m->entries, m->count, sizeof(*m->entries), compare_path);
}

bool manifest_has_files(const struct manifest *m)
{
	for (size_t i = 0; i < m->count; i++) {
		if (m->entries[i].type != MANIFEST_FOLDER)
			return true;
	}
	return false;
}

uint64_t manifest_bytes(const struct manifest *m)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < m->count; i++) {
		const struct entry *e = &m->entries[i];

		if (e->type == MANIFEST_FILE && __builtin_add_overflow(sum, e->size, &sum))
			return UINT64_MAX;
	}
	return sum;
}
