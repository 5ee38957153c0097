/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The end of displaced things; see apply.h. Somebody may have held one open and written to it after
 * it lost its name, or have put another one in its place: such a content goes to the store and into
 * the history first. That is done for all, durably, before the first one is removed; a crash
 * between leads to the same generation again. What is larger than the store takes is no part of any
 * set: it is told and removed, so that the transaction has an end.
 */
#include "apply_inner.h"
#include "beneath.h"
#include "log.h"
#include "scan.h"
#include "store.h"
#include "tree.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

struct rescue {
	struct apply *a;
	const struct manifest *side;
	const struct apply_seen *seen;
	struct manifest kept;
	struct err *err;
};

struct step {
	struct rescue *r;
	const char *path; /* of the folder, as part of the set */
	int fd, result;   /* with ERR */
};

/* After a rename its ctime says nothing. */
static bool is_as_displaced(const struct apply_seen *s, const struct stat *st)
{
	return s->inode == st->st_ino && s->mode == st->st_mode && s->uid == st->st_uid &&
		s->gid == st->st_gid && s->size == (uint64_t)st->st_size &&
		s->modified.tv_sec == st->st_mtim.tv_sec &&
		s->modified.tv_nsec == st->st_mtim.tv_nsec;
}

static int store_content(struct rescue *r, int parent, const char *name, struct entry *e)
{
	CLEANUP_FD int fd = -1;

	if (e->type != MANIFEST_FILE)
		return 0;
	fd = beneath_openat(parent, name, O_RDONLY);
	if (fd < 0)
		return err_sys(r->err, -fd, "%s", e->path);
	return store_add_file(r->a->state->objects, fd, e->hash, e->size, r->err);
}

static int keep(struct rescue *r, int parent, const char *name, const char *path)
{
	const struct entry *known = manifest_find(r->side, path);
	struct entry e;
	struct stat st;
	int n = apply_read_entry(r->a, parent, name, path, &e, &st, r->err);

	if (n < 0)
		return n;
	if (known && entry_difference(known, &e) == 0) {
		entry_done(&e);
		return 0;
	}
	n = store_content(r, parent, name, &e);
	if (n < 0) {
		entry_done(&e);
		return n;
	}
	n = manifest_add(&r->kept, &e);
	return n < 0 ? err_sys(r->err, -n, "%s", path) : 0;
}

static int rescue(struct rescue *r, int parent, const char *name, const char *path);

static int rescue_in(void *arg, const char *name)
{
	struct step *s = arg;
	char path[PATH_MAX];

	if (path_is_temporary(name) ||
		snprintf(path, sizeof(path), "%s/%s", s->path, name) > PATH_BYTES_MAX)
		return 0;
	s->result = rescue(s->r, s->fd, name, path);
	return s->result;
}

static int rescue_folder(struct rescue *r, int parent, const char *name, const char *path)
{
	CLEANUP_FD int fd = beneath_openat(parent, name, O_RDONLY | O_DIRECTORY);
	struct step s = {.r = r, .path = path, .fd = fd};
	int n;

	if (fd < 0)
		return err_sys(r->err, -fd, "%s", path);
	n = tree_names(fd, rescue_in, &s);
	return n < 0 && s.result == 0 ? err_sys(r->err, -n, "%s", path) : n;
}

/* Sockets and the like have no content. */
static int rescue(struct rescue *r, int parent, const char *name, const char *path)
{
	const struct entry *known = manifest_find(r->side, path);
	struct stat st;

	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(r->err, errno, "%s", path);
	if (S_ISDIR(st.st_mode))
		return rescue_folder(r, parent, name, path);
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return 0;
	if (known && is_as_displaced(&r->seen[known - r->side->entries], &st))
		return 0;
	if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > STORE_SIZE_MAX) {
		log_error("%s: was replaced, and somebody has made the old one %lld bytes long "
			  "since, more than can be kept (%llu): it is removed",
			path, (long long)st.st_size, STORE_SIZE_MAX);
		return 0;
	}
	return keep(r, parent, name, path);
}

/* The whole set as it would have been with what is kept. */

static bool shadows(const struct manifest *kept, const struct entry *e)
{
	char part[PATH_BYTES_MAX + 1];

	snprintf(part, sizeof(part), "%s", e->path);
	for (char *slash = part + strlen(part); slash > part; slash = strrchr(part, '/')) {
		*slash = 0;
		if (*part && manifest_find(kept, part))
			return true;
	}
	return false;
}

/* KEPT, sorted, and what of SIDE it does not replace. */
static int merge(const struct manifest *side, struct manifest *kept, struct manifest *ret)
{
	int r = manifest_sort(kept);

	if (r == 0)
		r = manifest_copy(ret, kept);
	for (size_t i = 0; i < side->count && r == 0; i++) {
		struct entry e;

		if (shadows(kept, &side->entries[i]))
			continue;
		r = entry_copy(&e, &side->entries[i]);
		if (r == 0)
			r = manifest_add(ret, &e);
	}
	return r == 0 ? manifest_sort(ret) : r;
}

static int set_aside(struct rescue *r, const struct generation *base)
{
	struct generation g = *base;
	char why[APPLY_WHY_MAX];
	int n;

	manifest_init(&g.files);
	n = merge(r->side, &r->kept, &g.files);
	if (n == 0)
		n = manifest_digest(&g.files, g.digest);
	snprintf(why, sizeof(why), "edited while generation %llu was put in force%s",
		(unsigned long long)r->a->next.number,
		r->a->phase == APPLY_DROPPING ? " and undone" : "");
	if (n < 0)
		err_sys(r->err, -n, "set %s", base->set);
	else
		n = store_sync(r->a->state->objects);
	if (n == 0)
		n = state_set_aside(r->a->state, &g, why, r->err);
	manifest_done(&g.files);
	return n;
}

static int rescue_item(struct rescue *r, const struct apply_item *i)
{
	struct apply_place p;
	int n;

	if (i->kind == APPLY_FOLDER)
		return 0;
	n = apply_place_open(r->a, i, &p);
	if (n < 0)
		return apply_place_is_gone(n) ? 0 : err_sys(r->err, -n, "%s", i->path);
	n = rescue(r, p.parent, p.temp, i->path);
	apply_place_close(&p);
	return n;
}

static int rescue_all(struct rescue *r, const struct generation *base)
{
	int n = 0;

	for (size_t i = 0; i < r->a->item_count && n == 0; i++)
		n = rescue_item(r, &r->a->items[i]);
	return n == 0 && r->kept.count ? set_aside(r, base) : n;
}

/* Removing. */

static int drop_item(struct apply *a, const struct apply_item *i, struct err *err)
{
	char probe[APPLY_NAME_MAX + 2];
	struct apply_place p;
	int r;

	if (i->kind == APPLY_FOLDER)
		return 0;
	r = apply_place_open(a, i, &p);
	if (r < 0)
		return apply_place_is_gone(r) ? 0 : err_sys(err, -r, "%s", i->path);
	r = tree_remove(p.parent, p.temp);
	snprintf(probe, sizeof(probe), "%s+", p.temp);
	if (r == 0 && a->phase == APPLY_PREPARING)
		r = tree_remove(p.parent, probe);
	if (r < 0)
		err_sys(err, -r, "%s: removing %s beside it", i->path, p.temp);
	apply_place_close(&p);
	return r;
}

int apply_drop_unseen(struct apply *a, struct err *err)
{
	int first = 0;

	for (size_t i = 0; i < a->item_count; i++) {
		int r = drop_item(a, &a->items[i], first ? NULL : err);

		first = first ? first : r;
	}
	return first ? first : apply_sync_folders(a, err);
}

int apply_drop(struct apply *a, const struct manifest *side, const struct apply_seen *seen,
	const struct generation *base, struct err *err)
{
	struct rescue r = {.a = a, .side = side, .seen = seen, .err = err};
	int n;

	manifest_init(&r.kept);
	n = rescue_all(&r, base);
	manifest_done(&r.kept);
	return n < 0 ? n : apply_drop_unseen(a, err);
}
