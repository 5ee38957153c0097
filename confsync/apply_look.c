/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is what is there what was scanned? See apply.h. The first look reads contents; the second, right
 * before the commit, compares inode, size and times, which a write changes. A file that was changed
 * in the last moment is waited for a clock tick, as two writes in one tick have the same times.
 */
#include "apply_inner.h"
#include "beneath.h"
#include "meta.h"
#include "scan.h"
#include "store.h"
#include "tree.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <time.h>

enum { TICK_NS = 20 * 1000 * 1000 };

static int changed(const char *path, struct err *err)
{
	return err_set(err, ESTALE, "%s: was changed in the meantime", path);
}

void apply_seen_fill(struct apply_seen *s, const struct stat *st)
{
	*s = (struct apply_seen){.inode = st->st_ino,
		.size = (uint64_t)st->st_size,
		.modified = st->st_mtim,
		.changed = st->st_ctim,
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid};
}

static void wait_a_tick(const struct stat *st)
{
	const struct timespec tick = {.tv_nsec = TICK_NS};
	struct timespec now;
	int64_t age;

	clock_gettime(CLOCK_REALTIME, &now);
	age = (int64_t)(now.tv_sec - st->st_ctim.tv_sec) * 1000000000 + now.tv_nsec -
		st->st_ctim.tv_nsec;
	if (age >= 0 && age < TICK_NS)
		nanosleep(&tick, NULL);
}

/* Reading what is there. */

static int read_file(struct apply *a, int fd, struct entry *e, struct stat *st)
{
	uint64_t size;
	int r;

	if (fstat(fd, st) < 0)
		return -errno;
	wait_a_tick(st);
	r = meta_read(a->names, fd, st, e);
	if (r == 0)
		r = scan_hash(fd, e->hash, &size);
	if (r == 0)
		e->size = size;
	return r;
}

static int read_link(
	struct apply *a, int parent, const char *name, struct entry *e, struct stat *st)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(parent, name, target, sizeof(target) - 1);
	int r = n < 0 ? -errno : 0;

	if (r == 0 && fstatat(parent, name, st, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	if (r == 0)
		r = meta_read(a->names, -1, st, e);
	if (r < 0)
		return r;
	target[n] = 0;
	free(e->target);
	e->target = strdup(target);
	return e->target ? 0 : -ENOMEM;
}

static int read_any(struct apply *a, int parent, const char *name, struct entry *e, struct stat *st)
{
	CLEANUP_FD int fd = -1;

	if (fstatat(parent, name, st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISLNK(st->st_mode))
		return read_link(a, parent, name, e, st);
	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
		return -EOPNOTSUPP;
	fd = beneath_openat(parent, name, O_RDONLY);
	if (fd < 0)
		return fd;
	if (S_ISREG(st->st_mode))
		return read_file(a, fd, e, st);
	return fstat(fd, st) < 0 ? -errno : meta_read(a->names, fd, st, e);
}

int apply_read_entry(struct apply *a, int parent, const char *name, const char *path,
	struct entry *e, struct stat *st, struct err *err)
{
	int r;

	*e = (struct entry){0};
	r = read_any(a, parent, name, e, st);
	if (r == 0 && !(e->path = strdup(path)))
		r = -ENOMEM;
	if (r < 0)
		entry_done(e);
	return r < 0 ? err_sys(err, -r, "%s", path) : 0;
}

/* The first look. */

static int look_at(
	struct apply *a, int parent, const char *name, const struct entry *live, struct err *err)
{
	struct entry found;
	struct stat st, again;
	int r = apply_read_entry(a, parent, name, live->path, &found, &st, err);
	unsigned differs;

	if (r < 0)
		return r == -ENOENT || r == -ELOOP || r == -EOPNOTSUPP ? changed(live->path, err)
								       : r;
	differs = entry_difference(live, &found);
	entry_done(&found);
	if (fstatat(parent, name, &again, AT_SYMLINK_NOFOLLOW) < 0 || again.st_ino != st.st_ino ||
		again.st_ctim.tv_sec != st.st_ctim.tv_sec ||
		again.st_ctim.tv_nsec != st.st_ctim.tv_nsec || differs)
		return changed(live->path, err);
	apply_seen_fill(&a->seen_live[live - a->live.entries], &st);
	return 0;
}

struct walk {
	const struct apply *a;
	const char *path; /* of the folder */
	int fd;
	int result; /* with ERR */
	struct err *err;
};

static int check_names(
	const struct apply *a, int parent, const char *name, const char *path, struct err *err);

/* In a folder that goes away all must be part of the set, or leftovers of editors. */
static int check_one(const struct walk *w, const char *name)
{
	char path[PATH_MAX];
	const struct entry *e;

	if (snprintf(path, sizeof(path), "%s/%s", w->path, name) >= (int)sizeof(path))
		return err_sys(w->err, ENAMETOOLONG, "%s", w->path);
	e = manifest_find(&w->a->live, path);
	if (e && e->type == MANIFEST_FOLDER)
		return check_names(w->a, w->fd, name, path, w->err);
	if (e || (path_is_temporary(name) && !path_is_ours(name)))
		return 0;
	if (path_is_ours(name))
		return err_set(w->err, ENOTEMPTY,
			"%s: is left of another transaction, and its folder is to be removed: remove "
			"it if no xnbd-confsync is at work",
			path);
	return err_set(w->err, ENOTEMPTY,
		"%s: is no part of the set, but its folder is to be removed: move it away", path);
}

static int check_name(void *arg, const char *name)
{
	struct walk *w = arg;

	w->result = check_one(w, name);
	return w->result;
}

static int check_names(
	const struct apply *a, int parent, const char *name, const char *path, struct err *err)
{
	CLEANUP_FD int fd = beneath_openat(parent, name, O_RDONLY | O_DIRECTORY);
	struct walk w = {.a = a, .path = path, .fd = fd, .err = err};
	int r;

	if (fd < 0)
		return changed(path, err);
	r = tree_names(fd, check_name, &w);
	return r < 0 && w.result == 0 ? err_sys(err, -r, "%s", path) : r;
}

static bool is_tree(const struct apply_item *i)
{
	return i->old && i->old->type == MANIFEST_FOLDER && i->kind != APPLY_FOLDER;
}

/* FN for each entry beneath the item. */
static int each_beneath(struct apply *a, const struct apply_item *i, const struct apply_place *p,
	int (*fn)(struct apply *a, int parent, const char *name, const struct entry *e,
		struct err *err),
	struct err *err)
{
	size_t count, first = apply_beneath(&a->live, i->path, &count);
	CLEANUP_FD int fd = beneath_openat(p->parent, p->name, O_PATH | O_DIRECTORY);
	int r = fd < 0 ? changed(i->path, err) : 0;

	for (size_t n = first; n < first + count && r == 0; n++) {
		const struct entry *e = &a->live.entries[n];
		const char *rel = e->path + strlen(i->path) + 1, *slash = strrchr(rel, '/');
		CLEANUP_FREE char *way = slash ? strndup(rel, (size_t)(slash - rel)) : strdup(".");
		CLEANUP_FD int parent =
			way ? beneath_openat(fd, way, O_PATH | O_DIRECTORY) : -ENOMEM;

		r = parent < 0 ? changed(e->path, err)
			       : fn(a, parent, slash ? slash + 1 : rel, e, err);
	}
	return r;
}

int apply_look(struct apply *a, struct apply_item *i, const struct apply_place *p, struct err *err)
{
	struct stat st;
	int r;

	if (!i->old) {
		if (fstatat(p->parent, p->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return err_set(err, ESTALE, "%s: is there, but was not scanned", i->path);
		return errno == ENOENT ? 0 : err_sys(err, errno, "%s", i->path);
	}
	r = look_at(a, p->parent, p->name, i->old, err);
	if (r == 0)
		i->old_inode = a->seen_live[i->old - a->live.entries].inode;
	if (r == 0 && is_tree(i))
		r = check_names(a, p->parent, p->name, i->path, err);
	if (r == 0 && is_tree(i))
		r = each_beneath(a, i, p, look_at, err);
	return r;
}

/* The second one. Times of folders change with leftovers of editors. */

static bool is_as_seen(const struct apply_seen *s, const struct stat *st)
{
	if (s->inode != st->st_ino || s->mode != st->st_mode || s->uid != st->st_uid ||
		s->gid != st->st_gid)
		return false;
	return S_ISDIR(st->st_mode) ||
		(s->size == (uint64_t)st->st_size && s->modified.tv_sec == st->st_mtim.tv_sec &&
			s->modified.tv_nsec == st->st_mtim.tv_nsec &&
			s->changed.tv_sec == st->st_ctim.tv_sec &&
			s->changed.tv_nsec == st->st_ctim.tv_nsec);
}

static int look_again_at(
	struct apply *a, int parent, const char *name, const struct entry *live, struct err *err)
{
	struct stat st;

	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? changed(live->path, err)
				       : err_sys(err, errno, "%s", live->path);
	return is_as_seen(&a->seen_live[live - a->live.entries], &st) ? 0
								      : changed(live->path, err);
}

int apply_look_again(
	struct apply *a, const struct apply_item *i, const struct apply_place *p, struct err *err)
{
	struct stat st;
	int r;

	if (i->kind != APPLY_FOLDER && i->kind != APPLY_REMOVE &&
		(fstatat(p->parent, p->temp, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			st.st_ino != i->new_inode))
		return err_set(err, ESTALE, "%s: what was prepared for it has gone", i->path);
	if (!i->old) {
		if (fstatat(p->parent, p->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return changed(i->path, err);
		return errno == ENOENT ? 0 : err_sys(err, errno, "%s", i->path);
	}
	r = look_again_at(a, p->parent, p->name, i->old, err);
	if (r == 0 && is_tree(i))
		r = check_names(a, p->parent, p->name, i->path, err);
	if (r == 0 && is_tree(i))
		r = each_beneath(a, i, p, look_again_at, err);
	return r;
}

/* Contents. */

static int keep_content(struct store_batch *b, const struct entry *e, struct err *err)
{
	CLEANUP_FD int fd = -1;
	struct err inner;
	int r;

	if (e->type != MANIFEST_FILE || store_batch_has(b, e->hash))
		return 0;
	fd = beneath_open(e->path, O_RDONLY);
	if (fd < 0)
		return fd == -ENOENT ? changed(e->path, err) : err_sys(err, -fd, "%s", e->path);
	r = store_batch_file(b, fd, e->hash, e->size, &inner);
	if (r == -EAGAIN)
		return changed(e->path, err);
	return r < 0 ? err_set(err, -r, "%.200s: %s", e->path, inner.text) : 0;
}

int apply_keep_contents(struct apply *a, struct err *err)
{
	struct store_batch b;
	int r = 0;

	store_batch_init(&b, a->state->objects);
	for (size_t n = 0; n < a->live.count && r == 0; n++)
		r = keep_content(&b, &a->live.entries[n], err);
	if (r < 0)
		store_batch_drop(&b);
	else
		r = store_batch_end(&b, err);
	for (size_t n = 0; n < a->next.files.count && r == 0; n++) {
		const struct entry *e = &a->next.files.entries[n];

		if (e->type == MANIFEST_FILE && !store_has(a->state->objects, e->hash))
			r = err_set(err, ENOENT, "%s: its content is not on this node", e->path);
	}
	return r;
}
