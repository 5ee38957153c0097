/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is new, under temporary names; see apply.h. A file is made for its owner alone and gets its
 * content before its mode, so a secret is never open to more. A new folder is filled while it is
 * closed to others; folders get owner and mode last, the deepest first.
 */
#include "apply_inner.h"
#include "beneath.h"
#include "meta.h"
#include "store.h"
#include "tree.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { CLOSED = 0700, ON_THE_WAY = 0755 };

static void remember(struct apply *a, const struct entry *e, const struct stat *st)
{
	apply_seen_fill(&a->seen_next[e - a->next.files.entries], st);
}

static int fill_file(struct apply *a, int fd, const struct entry *e, bool eagerly, struct err *err)
{
	struct stat st;
	int r = store_copy_to(a->state->objects, e->hash, e->size, fd, err);

	if (r == 0)
		r = meta_apply(a->names, fd, e, err);
	if (r == 0 && ((eagerly && fsync(fd) < 0) || fstat(fd, &st) < 0))
		r = err_sys(err, errno, "%s", e->path);
	if (r == 0)
		remember(a, e, &st);
	return r;
}

static int make_file(struct apply *a, int parent, const char *name, const struct entry *e,
	bool eagerly, struct err *err)
{
	CLEANUP_FD int fd = openat(parent, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		S_IRUSR | S_IWUSR);
	struct err inner;
	int r;

	if (fd < 0)
		return err_sys(err, errno, "%s: making its new content beside it", e->path);
	r = fill_file(a, fd, e, eagerly, &inner);
	return r < 0 ? err_set(err, -r, "%.200s: %s", e->path, inner.text) : 0;
}

static int make_link(
	struct apply *a, int parent, const char *name, const struct entry *e, struct err *err)
{
	struct stat st;
	int r;

	if (symlinkat(e->target, parent, name) < 0)
		return err_sys(err, errno, "%s: making the new link beside it", e->path);
	r = meta_apply_link(a->names, parent, name, e, err);
	if (r == 0 && fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		r = err_sys(err, errno, "%s", e->path);
	if (r == 0)
		remember(a, e, &st);
	return r;
}

static int make_folder(int parent, const char *name, const char *path, struct err *err)
{
	return mkdirat(parent, name, CLOSED) < 0
		? err_sys(err, errno, "%s: making the new folder", path)
		: 0;
}

static int make_entry(struct apply *a, int parent, const char *name, const struct entry *e,
	bool eagerly, struct err *err)
{
	switch (e->type) {
	case MANIFEST_FILE:
		return make_file(a, parent, name, e, eagerly, err);
	case MANIFEST_LINK:
		return make_link(a, parent, name, e, err);
	default:
		return make_folder(parent, name, e->path, err);
	}
}

/* In a new folder. */

/* The folder that REL, a path in the folder FD, lies in; what lacks on the way is made. */
static int open_way(int fd, const char *rel, const char **name)
{
	char part[PATH_BYTES_MAX + 1];
	const char *slash = strrchr(rel, '/');

	*name = slash ? slash + 1 : rel;
	if (!slash)
		return beneath_openat(fd, ".", O_PATH | O_DIRECTORY);
	memcpy(part, rel, strlen(rel) + 1);
	part[slash - rel] = 0;
	for (char *at = strchr(part, '/');; at = strchr(at + 1, '/')) {
		if (at)
			*at = 0;
		if (mkdirat(fd, part, ON_THE_WAY) < 0 && errno != EEXIST)
			return -errno;
		if (!at)
			break;
		*at = '/';
	}
	return beneath_openat(fd, part, O_PATH | O_DIRECTORY);
}

static int make_beneath(struct apply *a, int fd, const struct apply_item *i, const struct entry *e,
	bool eagerly, struct err *err)
{
	const char *name;
	CLEANUP_FD int parent = open_way(fd, e->path + strlen(i->path) + 1, &name);

	if (parent < 0)
		return err_sys(err, -parent, "%s", e->path);
	return make_entry(a, parent, name, e, eagerly, err);
}

static int close_folder(
	struct apply *a, int fd, const struct entry *e, bool eagerly, struct err *err)
{
	struct stat st;
	int r = meta_apply(a->names, fd, e, err);

	if (r == 0 && ((eagerly && fsync(fd) < 0) || fstat(fd, &st) < 0))
		r = err_sys(err, errno, "%s", e->path);
	if (r == 0)
		remember(a, e, &st);
	return r;
}

static int close_beneath(struct apply *a, int fd, const struct apply_item *i, const struct entry *e,
	bool eagerly, struct err *err)
{
	CLEANUP_FD int folder = -1;

	if (e->type != MANIFEST_FOLDER)
		return 0;
	folder = beneath_openat(fd, e->path + strlen(i->path) + 1, O_RDONLY | O_DIRECTORY);
	return folder < 0 ? err_sys(err, -folder, "%s", e->path)
			  : close_folder(a, folder, e, eagerly, err);
}

/* Of a folder that no manifest has. */
static int close_way(int fd, const char *path, bool eagerly, struct err *err)
{
	mode_t mask = umask(0);

	umask(mask);
	if (fchmod(fd, ON_THE_WAY & ~mask) < 0 || (eagerly && fsync(fd) < 0))
		return err_sys(err, errno, "%s", path);
	return 0;
}

static int one_name(void *arg, const char *name)
{
	(void)arg;
	(void)name;
	return 1;
}

/* Is it the one that was just made? Who may write to the folder around may have put another one
 * there, which would get owner and mode of this one. */
static bool is_fresh(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_uid == geteuid() &&
		(st.st_mode & (S_IRWXG | S_IRWXO)) == 0 && tree_names(fd, one_name, NULL) == 0;
}

static int make_tree(struct apply *a, const struct apply_item *i, const struct apply_place *p,
	bool eagerly, struct err *err)
{
	size_t count, first = apply_beneath(&a->next.files, i->path, &count);
	const struct entry *in = a->next.files.entries + first;
	CLEANUP_FD int fd = -1;
	int r = make_folder(p->parent, p->temp, i->path, err);

	if (r < 0)
		return r;
	fd = openat(p->parent, p->temp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "%s", i->path);
	if (!is_fresh(fd))
		return err_set(err, ESTALE, "%s: somebody changed the new folder", i->path);
	for (size_t n = 0; n < count && r == 0; n++)
		r = make_beneath(a, fd, i, &in[n], eagerly, err);
	for (size_t n = count; n > 0 && r == 0; n--)
		r = close_beneath(a, fd, i, &in[n - 1], eagerly, err);
	if (r < 0)
		return r;
	return i->new ? close_folder(a, fd, i->new, eagerly, err)
		      : close_way(fd, i->path, eagerly, err);
}

int apply_make(struct apply *a, struct apply_item *i, const struct apply_place *p, bool eagerly,
	struct err *err)
{
	struct stat st;
	int r;

	if (i->kind == APPLY_FOLDER || i->kind == APPLY_REMOVE)
		return 0;
	if (i->new && i->new->type != MANIFEST_FOLDER)
		r = make_entry(a, p->parent, p->temp, i->new, eagerly, err);
	else
		r = make_tree(a, i, p, eagerly, err);
	if (r == 0 && fstatat(p->parent, p->temp, &st, AT_SYMLINK_NOFOLLOW) < 0)
		r = err_sys(err, errno, "%s", i->path);
	if (r == 0)
		i->new_inode = st.st_ino;
	return r;
}

size_t apply_make_count(const struct apply *a)
{
	size_t all = 0, count;

	for (size_t n = 0; n < a->item_count; n++) {
		const struct apply_item *i = &a->items[n];

		if (i->kind != APPLY_ADD && i->kind != APPLY_SWAP)
			continue;
		apply_beneath(&a->next.files, i->path, &count);
		all += 1 + count;
	}
	return all;
}
