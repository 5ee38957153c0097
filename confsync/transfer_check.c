/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a node lets a peer do to its files. The peer is root on its own node, not here: nothing of
 * what it says about a set is believed that our configuration does not allow. What is checked while
 * writing (links on the way, contents) is elsewhere: beneath.h, store.h.
 */
#include "meta.h"
#include "rights.h"
#include "scan.h"
#include "transfer_inner.h"

#include <errno.h>
#include <string.h>

/* More changes than anybody makes; what follows still has a text that can be read again. */
#define COUNT_MAX (UINT64_C(1) << 53)

static int allows_mode(const struct config_set *s, const struct entry *e, struct err *err)
{
	bool folder = e->type == MANIFEST_FOLDER;
	unsigned rule = folder ? s->folder_mode_bits : s->mode_bits;
	unsigned most = folder ? 0700 : 0600;

	if (e->type == MANIFEST_LINK)
		return 0;
	if (s->kind == CONFIG_SECRET && (e->mode & ~most))
		return err_set(err, EACCES, "%s: mode %04o, but the set is secret: at most %04o",
			e->path, e->mode, most);
	if (rule && e->mode != rule)
		return err_set(err, EACCES, "%s: mode %04o, but the set's rule here is %04o",
			e->path, e->mode, rule);
	return 0;
}

static int allows_owner(const struct config_set *s, const struct entry *e, struct err *err)
{
	if (s->owner && strcmp(s->owner, e->owner) != 0)
		return err_set(err, EACCES, "%s: owner %s, but the set's rule here is %s", e->path,
			e->owner, s->owner);
	if (s->group && strcmp(s->group, e->group) != 0)
		return err_set(err, EACCES, "%s: group %s, but the set's rule here is %s", e->path,
			e->group, s->group);
	return 0;
}

static int allows_entry(const struct config *c, const struct config_set *s, const struct entry *e,
	struct meta_names *names, struct err *err)
{
	const char *rights = rights_fault(s, e);
	int r;

	if (!config_allows(c, s, e->path))
		return err_set(err, EACCES, "%s: is not part of set %s here (paths, exclude)",
			e->path, s->name);
	if (e->type == MANIFEST_LINK && !s->symlinks)
		return err_set(err, EACCES, "%s: a symbolic link, which set %s has not (symlinks)",
			e->path, s->name);
	r = allows_mode(s, e, err);
	if (r == 0)
		r = allows_owner(s, e, err);
	if (r == 0 && rights)
		r = err_set(err, EACCES, "%s: %s", e->path, rights);
	return r == 0 ? meta_check(names, e, err) : r;
}

static int allows_size(const struct generation *g, struct err *err)
{
	uint64_t bytes = 0;
	size_t files = 0;

	for (size_t i = 0; i < g->files.count; i++) {
		const struct entry *e = &g->files.entries[i];

		if (e->type != MANIFEST_FILE)
			continue;
		if (e->size > SCAN_BYTES_MAX || ++files > SCAN_FILES_MAX ||
			(bytes += e->size) > SCAN_BYTES_MAX)
			return err_set(err, E2BIG, "more than %d files or %llu MiB", SCAN_FILES_MAX,
				(unsigned long long)(SCAN_BYTES_MAX >> 20));
	}
	return 0;
}

/* The same content has one size. */
static int allows_contents(const struct generation *g, struct err *err)
{
	struct contents c;
	int r = contents_init(&c, &g->files);

	for (size_t i = 1; i < c.count && r == 0; i++) {
		if (memcmp(c.at[i - 1]->hash, c.at[i]->hash, MANIFEST_HASH) == 0 &&
			c.at[i - 1]->size != c.at[i]->size)
			r = -EPROTO;
	}
	contents_done(&c);
	return r < 0 ? err_set(err, -r, "a content is said to have two sizes") : 0;
}

static bool ours(const struct config *c, const struct vector_count *v)
{
	return v->count <= COUNT_MAX &&
		(v->node[0] == 0 || strcmp(v->node, c->self->name) == 0 ||
			strcmp(v->node, c->peer->name) == 0);
}

int transfer_allows_counts(const struct config *c, const struct generation *g, struct err *err)
{
	if (g->number == 0 || g->number > COUNT_MAX || !ours(c, &g->vector.at[0]) ||
		!ours(c, &g->vector.at[1]))
		return err_set(err, EPROTO,
			"a generation of set %s has a number or a node that cannot be", g->set);
	return 0;
}

int transfer_allows(const struct config *c, const struct config_set *s, const struct generation *g,
	struct err *err)
{
	struct meta_names *names;
	int r = transfer_allows_counts(c, g, err);

	if (r == 0)
		r = allows_size(g, err);
	if (r == 0)
		r = allows_contents(g, err);
	if (r < 0)
		return r;
	names = meta_names_new();
	if (!names)
		return err_set(err, ENOMEM, "no memory");
	for (size_t i = 0; i < g->files.count && r == 0; i++)
		r = allows_entry(c, s, &g->files.entries[i], names, err);
	meta_names_free(names);
	return r;
}
