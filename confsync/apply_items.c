/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which names are exchanged; see apply.h. One item for each thing that changes, but none for what
 * is in a folder that is made or goes away as a whole: the folder's item brings it along. Folders
 * that no manifest has, but that are needed on the way to a new file and are not there, are items
 * too. The order of items does not matter: none lies in another one's folder.
 */
#include "apply_inner.h"
#include "beneath.h"
#include "util.h"

#include <errno.h>
#include <string.h>

enum { FIRST_ROOM = 64 };

static bool is_beneath(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	return strncmp(path, folder, len) == 0 && path[len] == '/';
}

/* < 0: PATH sorts before what is in FOLDER, 0: is in it. */
static int against(const char *path, const char *folder)
{
	size_t len = strlen(folder);
	int order = strncmp(path, folder, len);

	return order ? order : (int)(unsigned char)path[len] - '/';
}

/* What is beneath a folder is in one piece: FOLDER/ is a prefix. */
size_t apply_beneath(const struct manifest *m, const char *folder, size_t *count)
{
	size_t low = 0, high = m->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (against(m->entries[mid].path, folder) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*count = 0;
	while (low + *count < m->count && is_beneath(m->entries[low + *count].path, folder))
		++*count;
	return low;
}

static bool has_beneath(const struct manifest *m, const char *folder)
{
	size_t count;

	apply_beneath(m, folder, &count);
	return count > 0;
}

static bool is_folder(const struct entry *e)
{
	return e && e->type == MANIFEST_FOLDER;
}

/* OLD and NEW are found by the path: so the journal needs kind and path only. */
int apply_items_add(struct apply *a, enum apply_kind kind, const char *path, struct err *err)
{
	struct apply_item *more = a->items;
	size_t n = a->item_count;

	if (n == 0 || (n >= FIRST_ROOM && is_power_of_2(n)))
		more = reallocarray(a->items, MAX_OF(n * 2, (size_t)FIRST_ROOM), sizeof(*more));
	if (!more)
		return err_sys(err, ENOMEM, "%s", path);
	a->items = more;
	more[n] = (struct apply_item){.kind = kind, .path = strdup(path)};
	if (!more[n].path)
		return err_sys(err, ENOMEM, "%s", path);
	more[n].old = manifest_find(&a->live, path);
	more[n].new = manifest_find(&a->next.files, path);
	a->item_count++;
	return 0;
}

/* Calls FN for each folder above PATH, from the root on, until it returns true. */
static bool any_above(const struct apply *a, const char *path,
	bool (*fn)(const struct apply *a, const char *folder))
{
	char part[PATH_BYTES_MAX + 1];
	size_t len = strlen(path);

	for (size_t at = 1; at < len && at < sizeof(part); at++) {
		if (path[at] != '/')
			continue;
		memcpy(part, path, at);
		part[at] = 0;
		if (fn(a, part))
			return true;
	}
	return false;
}

static bool is_made(const struct apply *a, const char *folder)
{
	return is_folder(manifest_find(&a->next.files, folder)) &&
		!is_folder(manifest_find(&a->live, folder));
}

/* A folder that is no part of the set any more stays while something in it is. */
static bool is_removed(const struct apply *a, const char *folder)
{
	return is_folder(manifest_find(&a->live, folder)) &&
		!is_folder(manifest_find(&a->next.files, folder)) &&
		!has_beneath(&a->next.files, folder);
}

static bool is_no_folder(const struct apply *a, const char *folder)
{
	const struct entry *e = manifest_find(&a->next.files, folder);

	return e && !is_folder(e);
}

static bool is_made_on_the_way(const struct apply *a, const char *path)
{
	for (size_t i = 0; i < a->item_count; i++) {
		if (a->items[i].kind == APPLY_ADD &&
			!a->items[i].new &&is_beneath(path, a->items[i].path))
			return true;
	}
	return false;
}

/* PATH becomes the topmost folder above it that is not there, or stays. */
static int find_missing(char *path)
{
	char part[PATH_BYTES_MAX + 1];
	char *slash;
	struct stat st;
	int r;

	memcpy(part, path, strlen(path) + 1);
	while ((slash = strrchr(part, '/')) && slash > part) {
		*slash = 0;
		r = beneath_stat(part, &st);
		if (r != -ENOENT)
			return r;
		memcpy(path, part, strlen(part) + 1);
	}
	return 0;
}

static int add_new(struct apply *a, const struct entry *e, struct err *err)
{
	char path[PATH_BYTES_MAX + 1];
	int r;

	if (any_above(a, e->path, is_made) || is_made_on_the_way(a, e->path))
		return 0;
	memcpy(path, e->path, strlen(e->path) + 1);
	r = find_missing(path);
	if (r < 0)
		return err_sys(err, -r, "%s: the folder it is to be in", e->path);
	return apply_items_add(a, APPLY_ADD, path, err);
}

static int add_removed(struct apply *a, const struct entry *e, struct err *err)
{
	if (any_above(a, e->path, is_removed))
		return 0;
	if (is_folder(e) && !is_removed(a, e->path))
		return 0;
	return apply_items_add(a, APPLY_REMOVE, e->path, err);
}

static int add_change(struct apply *a, const struct change *c, struct err *err)
{
	const struct entry *e = c->new ? c->new : c->old;

	if (strlen(e->path) > PATH_BYTES_MAX || !path_is_clean(e->path))
		return err_set(err, EINVAL, "%.80s...: is no path of a set", e->path);
	if (c->new &&any_above(a, e->path, is_no_folder))
		return err_set(err, EINVAL, "%s: lies in something that is no folder", e->path);
	if (c->new && !config_allows(a->state->config, a->state->set, e->path))
		return err_set(err, EPERM, "%s: is no part of set %s on this node", e->path,
			a->state->set->name);
	if (c->kind == CHANGE_ADD)
		return add_new(a, c->new, err);
	if (c->kind == CHANGE_DELETE)
		return add_removed(a, c->old, err);
	if (is_folder(c->old) && is_folder(c->new))
		return apply_items_add(a, APPLY_FOLDER, e->path, err);
	return apply_items_add(a, APPLY_SWAP, e->path, err);
}

int apply_items_make(struct apply *a, struct err *err)
{
	struct changes c;
	int r = changes_between(&a->live, &a->next.files, &c);

	if (r < 0)
		return err_sys(err, -r, "set %s", a->next.set);
	for (size_t i = 0; i < c.count && r == 0; i++)
		r = add_change(a, &c.items[i], err);
	changes_done(&c);
	return r;
}
