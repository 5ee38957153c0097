/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Places of items; see apply.h. A place is the descriptor of a folder that was reached without a
 * link, and two names in it. What would make a rename fail later is looked for here: read-only file
 * systems, flags of folders, file systems that do not know RENAME_EXCHANGE.
 */
#include "apply_inner.h"
#include "beneath.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

void apply_temp_name(const struct apply *a, const struct apply_item *i, char ret[APPLY_NAME_MAX])
{
	snprintf(ret, APPLY_NAME_MAX, PATH_OWN_PREFIX "%s.%zu", a->transaction,
		(size_t)(i - a->items));
}

int apply_place_open(const struct apply *a, const struct apply_item *i, struct apply_place *ret)
{
	ret->parent = beneath_parent(i->path, &ret->name);
	apply_temp_name(a, i, ret->temp);
	return ret->parent < 0 ? ret->parent : 0;
}

bool apply_place_is_gone(int r)
{
	return r == -ENOENT || r == -ENOTDIR || r == -ELOOP;
}

void apply_place_close(struct apply_place *p)
{
	fd_close(&p->parent);
}

/* What may be done with names. */

static int check_flags(int fd, const char *name, int flags, const char *path, struct err *err)
{
	struct statx x;

	if (statx(fd, name, flags | AT_SYMLINK_NOFOLLOW, STATX_TYPE, &x) < 0)
		return errno == ENOENT ? 0 : err_sys(err, errno, "%s", path);
	if (x.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND))
		return err_set(err, EPERM,
			"%s: cannot be changed, it has the attribute %s (chattr -%c)", path,
			x.stx_attributes & STATX_ATTR_IMMUTABLE ? "immutable" : "append only",
			x.stx_attributes & STATX_ATTR_IMMUTABLE ? 'i' : 'a');
	if (*name && (x.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return err_set(err, EBUSY,
			"%s: something is mounted here, so it cannot be replaced: leave it out of "
			"the set",
			path);
	return 0;
}

static int swap(int folder, const char *one, const char *other)
{
	return renameat2(folder, one, folder, other, RENAME_EXCHANGE) < 0 ? -errno : 0;
}

static int touch(int folder, const char *name)
{
	CLEANUP_FD int fd = openat(folder, name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);

	return fd < 0 ? -errno : 0;
}

/* Under names of the item, so that they are removed after a crash; both are on the list of undoing
 * as the temporary name and that with "+". */
static int try_exchange(const struct apply_place *p)
{
	char other[APPLY_NAME_MAX + 2];
	int r = touch(p->parent, p->temp);

	snprintf(other, sizeof(other), "%s+", p->temp);
	if (r == 0)
		r = touch(p->parent, other);
	if (r == 0)
		r = swap(p->parent, p->temp, other);
	unlinkat(p->parent, other, 0);
	unlinkat(p->parent, p->temp, 0);
	return r;
}

static int check_device(const struct apply_item *i, const struct apply_place *p,
	struct apply_ground *g, struct err *err)
{
	struct stat st;
	int r;

	if (fstat(p->parent, &st) < 0)
		return err_sys(err, errno, "%s", i->path);
	for (size_t n = 0; n < g->device_count; n++) {
		if (g->devices[n] == st.st_dev)
			return 0;
	}
	r = try_exchange(p);
	if (r == -EINVAL || r == -ENOSYS || r == -EOPNOTSUPP)
		return err_set(err, EOPNOTSUPP,
			"%s: its file system cannot exchange two names (RENAME_EXCHANGE)", i->path);
	if (r < 0)
		return err_sys(err, -r, "%s: making a file beside it", i->path);
	if (g->device_count < ARRAY_LEN(g->devices))
		g->devices[g->device_count++] = st.st_dev;
	return 0;
}

static int check_folder(const struct apply_item *i, const struct apply_place *p,
	struct apply_ground *g, struct err *err)
{
	size_t len = (size_t)(p->name - i->path);
	int r;

	if (strncmp(g->folder, i->path, len) == 0 && !g->folder[len])
		return 0;
	memcpy(g->folder, i->path, len);
	g->folder[len] = 0;
	r = check_flags(p->parent, "", AT_EMPTY_PATH, g->folder, err);
	if (r == 0 &&
		syscall(SYS_faccessat2, p->parent, "", W_OK, AT_EMPTY_PATH | AT_EACCESS) < 0 &&
		errno != ENOSYS)
		r = err_sys(err, errno, "%s: cannot be written to", g->folder);
	if (r == 0)
		r = check_device(i, p, g, err);
	if (r < 0)
		g->folder[0] = 0;
	return r;
}

int apply_ground_check(const struct apply *a, const struct apply_item *i,
	const struct apply_place *p, struct apply_ground *g, struct err *err)
{
	int r = check_folder(i, p, g, err);

	(void)a;
	if (r < 0 || i->kind == APPLY_ADD || i->kind == APPLY_FOLDER)
		return r;
	return check_flags(p->parent, p->name, 0, i->path, err);
}

/* Syncing. */

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct folders {
	char **items;
	size_t count;
};

static void drop(struct folders *f)
{
	for (size_t i = 0; i < f->count; i++)
		free(f->items[i]);
	free(f->items);
}

/* Each folder once. */
static int collect(const struct apply *a, struct folders *ret)
{
	size_t kept = 0;

	*ret = (struct folders){.items = calloc(a->item_count + 1, sizeof(*ret->items))};
	for (size_t i = 0; ret->items && i < a->item_count; i++) {
		const char *path = a->items[i].path, *slash = strrchr(path, '/');
		size_t len = a->items[i].kind == APPLY_FOLDER
			? strlen(path)
			: MAX_OF((size_t)(slash - path), (size_t)1);
		char *folder = strndup(path, len);

		if (!folder)
			return -ENOMEM;
		if (ret->count && strcmp(ret->items[ret->count - 1], folder) == 0)
			free(folder);
		else
			ret->items[ret->count++] = folder;
	}
	if (!ret->items)
		return -ENOMEM;
	qsort(ret->items, ret->count, sizeof(*ret->items), compare);
	for (size_t i = 0; i < ret->count; i++) {
		if (kept && strcmp(ret->items[kept - 1], ret->items[i]) == 0)
			free(ret->items[i]);
		else
			ret->items[kept++] = ret->items[i];
	}
	ret->count = kept;
	return 0;
}

static int sync_one(const char *folder, int (*how)(int fd))
{
	CLEANUP_FD int fd = beneath_open(folder, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		return apply_place_is_gone(fd) ? 0
					       : fd; /* it has gone, and with it what was to last */
	return how(fd) < 0 && errno != EINVAL ? -errno : 0;
}

static bool is_new(struct apply_ground *g, const char *folder)
{
	struct stat st;

	if (beneath_stat(folder, &st) < 0)
		return false;
	for (size_t n = 0; n < g->device_count; n++) {
		if (g->devices[n] == st.st_dev)
			return false;
	}
	if (g->device_count < ARRAY_LEN(g->devices))
		g->devices[g->device_count++] = st.st_dev;
	return true;
}

static int sync_each(const struct folders *f, bool whole, struct err *err)
{
	struct apply_ground g = {0};
	int r = 0;

	for (size_t i = 0; i < f->count && r == 0; i++) {
		if (!whole)
			r = sync_one(f->items[i], fsync);
		else if (is_new(&g, f->items[i]))
			r = sync_one(f->items[i], syncfs);
		if (r < 0)
			err_sys(err, -r, "%s: its names could not be made durable", f->items[i]);
	}
	return r;
}

static int sync_folders(const struct apply *a, bool whole, struct err *err)
{
	struct folders f;
	int r = collect(a, &f);

	r = r < 0 ? err_sys(err, -r, "set %s", a->next.set)
		  : sync_each(&f, whole || f.count > APPLY_SYNC_SINGLE_MAX, err);
	drop(&f);
	return r;
}

int apply_sync_folders(const struct apply *a, struct err *err)
{
	return sync_folders(a, false, err);
}

int apply_sync_all(const struct apply *a, struct err *err)
{
	return sync_folders(a, true, err);
}
