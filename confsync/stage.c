/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The staged tree of a set; see stage.h. It lies in the set's state folder, which only we can
 * enter, so plain paths in it are safe; folders get their owner and mode last. The way down to the
 * first folder of the set is open to all, as it is in place, for validators that change their user;
 * the state folder around it is not.
 */
#include "stage.h"

#include "beneath.h"
#include "hook.h"
#include "meta.h"
#include "path.h"
#include "store.h"
#include "tree.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { CLOSED = 0700, ON_THE_WAY = 0755 };

struct build {
	struct state *state;
	const struct manifest *live;
	struct meta_names *names;
	int root;
};

void stage_drop(struct state *s)
{
	tree_remove(AT_FDCWD, s->stage);
}

/* From the live files to the store, if it is not there. */
static int bring(const struct build *b, const struct entry *e, struct err *err)
{
	int r = -ENOENT;

	if (store_has(b->state->objects, e->hash))
		return 0;
	for (size_t i = 0; b->live && i < b->live->count; i++) {
		const struct entry *l = &b->live->entries[i];
		CLEANUP_FD int fd = -1;

		if (l->type != MANIFEST_FILE || memcmp(l->hash, e->hash, MANIFEST_HASH) != 0)
			continue;
		fd = beneath_open(l->path, O_RDONLY);
		r = fd < 0 ? fd : store_add_file(b->state->objects, fd, l->hash, l->size, NULL);
		if (r == 0)
			return 0;
	}
	return err_sys(err, r == -EAGAIN ? ESTALE : -r, "%s: its content", e->path);
}

static int put_file(
	const struct build *b, int parent, const char *name, const struct entry *e, struct err *err)
{
	CLEANUP_FD int fd = -1;
	int r = bring(b, e, err);

	if (r < 0)
		return r;
	fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		S_IRUSR | S_IWUSR);
	if (fd < 0)
		return err_sys(err, errno, "staging %s", e->path);
	r = store_copy_to(b->state->objects, e->hash, e->size, fd, err);
	return r == 0 ? meta_apply(b->names, fd, e, err) : r;
}

static int put_link(
	const struct build *b, int parent, const char *name, const struct entry *e, struct err *err)
{
	if (symlinkat(e->target, parent, name) < 0)
		return err_sys(err, errno, "staging %s", e->path);
	return meta_apply_link(b->names, parent, name, e, err);
}

/* The folder of E in the stage, made with all above it. */
static int open_parent(const struct build *b, const struct entry *e, const char **name)
{
	char part[PATH_BYTES_MAX + 1];
	const char *slash = strrchr(e->path, '/');

	if (!path_is_clean(e->path) || strlen(e->path) > PATH_BYTES_MAX)
		return -EINVAL;
	*name = slash + 1;
	memcpy(part, e->path + 1, strlen(e->path));
	for (char *at = strchr(part, '/'); at; at = strchr(at + 1, '/')) {
		*at = 0;
		if (mkdirat(b->root, part, ON_THE_WAY) < 0 && errno != EEXIST)
			return -errno;
		*at = '/';
	}
	slash = strrchr(part, '/');
	if (slash)
		part[slash - part] = 0;
	return beneath_openat(b->root, slash ? part : ".", O_PATH | O_DIRECTORY);
}

static int put(const struct build *b, const struct entry *e, struct err *err)
{
	const char *name;
	CLEANUP_FD int parent = open_parent(b, e, &name);

	if (parent < 0)
		return err_sys(err, -parent, "staging %s", e->path);
	if (e->type == MANIFEST_FILE)
		return put_file(b, parent, name, e, err);
	if (e->type == MANIFEST_LINK)
		return put_link(b, parent, name, e, err);
	return mkdirat(parent, name, CLOSED) < 0 ? err_sys(err, errno, "staging %s", e->path) : 0;
}

static int close_folder(const struct build *b, const struct entry *e, struct err *err)
{
	CLEANUP_FD int fd = -1;

	if (e->type != MANIFEST_FOLDER)
		return 0;
	fd = beneath_openat(b->root, e->path + 1, O_RDONLY | O_DIRECTORY);
	return fd < 0 ? err_sys(err, -fd, "staging %s", e->path) : meta_apply(b->names, fd, e, err);
}

static int put_all(const struct build *b, const struct manifest *files, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < files->count && r == 0; i++)
		r = put(b, &files->entries[i], err);
	for (size_t i = files->count; i > 0 && r == 0; i--)
		r = close_folder(b, &files->entries[i - 1], err);
	return r;
}

static int open_root(const char *path, int *ret)
{
	int r = tree_remove(AT_FDCWD, path);

	if (r == 0 && mkdir(path, ON_THE_WAY) < 0)
		r = -errno;
	if (r < 0)
		return r;
	*ret = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret < 0 ? -errno : 0;
}

int stage_build(
	struct state *s, const struct manifest *files, const struct manifest *live, struct err *err)
{
	struct build b = {.state = s, .live = live, .root = -1};
	int r = open_root(s->stage, &b.root);

	b.names = meta_names_new();
	if (r == 0 && !b.names)
		r = -ENOMEM;
	r = r < 0 ? err_sys(err, -r, "%s", s->stage) : put_all(&b, files, err);
	meta_names_free(b.names);
	fd_close(&b.root);
	if (r < 0)
		stage_drop(s);
	return r;
}

int stage_validate(
	struct state *s, const struct generation *g, const struct manifest *live, struct err *err)
{
	int r;

	if (!s->set->validate)
		return 0;
	r = stage_build(s, &g->files, live, err);
	if (r == 0)
		r = hook_validate(s->config, s->set, s->stage, g->number, err);
	stage_drop(s);
	return r;
}
