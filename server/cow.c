/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Overlays: what layer.h calls a layer, with the base as what is below and what fills it. The
 * `struct cow` has what they share, and is itself the storage whose clients get private ones.
 */
#include "cow.h"

#include "copy_up.h"
#include "file.h"
#include "fingerprint.h"
#include "layer.h"
#include "nbd.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct cow {
	struct storage storage; /* for_client() */
	struct storage *base;
	struct io_threads *threads;
	unsigned block;
	char dir[PATH_MAX];
};

struct overlay {
	struct layer layer;
	struct cow *cow;
	bool owns_cow, named;
};

static struct cow *cow_of(struct storage *st)
{
	return container_of(st, struct cow, storage);
}

static struct overlay *overlay_of(struct storage *st)
{
	return container_of(st, struct overlay, layer.storage);
}

static void cow_free(struct cow *c)
{
	if (c->base)
		c->base->ops->close(c->base);
	io_threads_free(c->threads);
	free(c);
}

/* Overlays. */

static void fill(struct layer *l, struct fill *f)
{
	copy_up_start(f, l->base, overlay_of(&l->storage)->cow->threads);
}

static const struct layer_ops overlay_fills = {
	.fill = fill,
	.fill_size = sizeof(struct copy_up),
	.fill_bytes = COW_BLOCK_MAX,
};

static void overlay_close(struct storage *st)
{
	struct overlay *o = overlay_of(st);

	layer_done(&o->layer, o->named);
	if (o->owns_cow)
		cow_free(o->cow);
	free(o);
}

static const struct storage_ops overlay_ops = {
	.kind = "cow-target",
	.map = layer_map,
	.prepare = layer_prepare,
	.commit = layer_commit,
	.vouched = layer_vouched,
	.release = layer_release,
	.discard = layer_discard,
	.zero = layer_zero,
	.flush = layer_flush,
	.cache = layer_cache,
	.extents = layer_extents,
	.own_fd = layer_own_fd,
	.close = overlay_close,
};

/* A file without a name in DIR. */
static int open_nameless(const char *dir, struct err *err)
{
	char path[PATH_MAX];
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)
		return err_sys(err, errno, "%s: overlay in this folder (--cow-dir)", dir);
	snprintf(path, sizeof(path), "%.*s/xnbd-cow.XXXXXX", PATH_MAX - 24, dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "%s: overlay in this folder (--cow-dir)", dir);
	unlink(path);
	return fd;
}

/* Opens a file by descriptor as a storage of its own. */
static struct storage *open_by_fd(int fd, struct err *err)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return file_open(path, 0, err);
}

static struct storage *open_top(const struct cow *c, struct err *err)
{
	CLEANUP_FD int fd = open_nameless(c->dir, err);

	if (fd < 0)
		return NULL;
	if (ftruncate(fd, (off_t)c->storage.facts.size) < 0) {
		err_sys(err, errno, "%s: overlay of %llu bytes", c->dir,
			(unsigned long long)c->storage.facts.size);
		return NULL;
	}
	return open_by_fd(fd, err);
}

/* TOP is taken. */
static struct overlay *new_overlay(struct cow *c, struct storage *top, struct err *err)
{
	struct overlay *o = top ? calloc(1, sizeof(*o)) : NULL;

	if (!o) {
		if (top) {
			top->ops->close(top);
			err_sys(err, ENOMEM, "overlay");
		}
		return NULL;
	}
	o->cow = c;
	o->layer.storage.ops = &overlay_ops;
	o->layer.storage.facts = c->storage.facts;
	o->layer.storage.in_place = true;
	if (layer_init(&o->layer, &overlay_fills, top, c->base) == 0)
		return o;
	err_sys(err, ENOMEM, "overlay");
	overlay_close(&o->layer.storage);
	return NULL;
}

static struct storage *open_overlay(struct cow *c, struct err *err)
{
	struct overlay *o = new_overlay(c, open_top(c, err), err);

	if (o && blockmap_init(&o->layer.map, c->storage.facts.size, c->block) < 0) {
		err_sys(err, ENOMEM, "overlay");
		overlay_close(&o->layer.storage);
		return NULL;
	}
	return o ? &o->layer.storage : NULL;
}

/* Named ones. */

static json_t *identity_of(const struct cow *c, const char *base, struct err *err)
{
	json_t *print = fingerprint(base, c->storage.facts.size, err);
	json_t *all = print ? json_pack("{s:s, s:o}", "kind", "overlay", "base", print) : NULL;

	if (print && !all)
		err_sys(err, ENOMEM, "overlay");
	return all;
}

/* What is there already and is no overlay must not become one: it may be somebody's image. */
static int create_named(const char *path, const char *bitmap, uint64_t size, struct err *err)
{
	CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "--cow-layer %s", path);
	if (st.st_size > 0 && access(bitmap, F_OK) < 0)
		return err_set(err, EEXIST,
			"--cow-layer %s: is there, but is no overlay (%s is missing); name a new file",
			path, bitmap);
	if (st.st_size == 0 && ftruncate(fd, (off_t)size) < 0)
		return err_sys(err, errno, "--cow-layer %s", path);
	return 0;
}

static struct storage *open_named(
	struct cow *c, const char *base, const char *path, struct err *err)
{
	struct blockmap_wish wish = {
		.size = c->storage.facts.size, .block = c->block, .what = "overlay"};
	char bitmap[PATH_MAX];
	struct overlay *o = NULL;
	int ret = -1;

	snprintf(bitmap, sizeof(bitmap), "%.*s.bitmap", PATH_MAX - 16, path);
	wish.path = bitmap;
	wish.identity = identity_of(c, base, err);
	if (wish.identity && create_named(path, bitmap, wish.size, err) == 0)
		o = new_overlay(c, file_open(path, 0, err), err);
	if (o) {
		wish.data_fd = file_of(o->layer.top)->flush_fd;
		ret = blockmap_open(&o->layer.map, &wish, err);
		o->named = ret == 0;
	}
	json_decref(wish.identity);
	if (ret == 0)
		return &o->layer.storage;
	if (o)
		overlay_close(&o->layer.storage);
	return NULL;
}

/* Private ones. */

static struct storage *cow_for_client(struct storage *st, struct err *err)
{
	return open_overlay(cow_of(st), err);
}

/* Nobody is served this one. */
static int cow_flush(struct storage *st)
{
	(void)st;
	return 0;
}

static void cow_close(struct storage *st)
{
	cow_free(cow_of(st));
}

static const struct storage_ops cow_ops = {
	.kind = "cow-target",
	.flush = cow_flush,
	.for_client = cow_for_client,
	.close = cow_close,
};

static void choose_dir(struct cow *c, const struct cow_config *config)
{
	char copy[PATH_MAX];
	struct stat st;

	snprintf(copy, sizeof(copy), "%s", config->base);
	if (config->dir)
		snprintf(c->dir, sizeof(c->dir), "%s", config->dir);
	else if (stat(config->base, &st) == 0 && S_ISBLK(st.st_mode))
		snprintf(c->dir, sizeof(c->dir), "/var/tmp");
	else
		snprintf(c->dir, sizeof(c->dir), "%s", dirname(copy));
}

/* Several connections of one client would each see another disk. */
static void set_facts(struct cow *c, const struct cow_config *config)
{
	struct export_facts *f = &c->storage.facts;

	*f = c->base->facts;
	if (!config->shared && !config->layer)
		f->flags &= (uint16_t)~NBD_FLAG_CAN_MULTI_CONN;
	if (config->readonly)
		return;
	f->flags &= (uint16_t)~NBD_FLAG_READ_ONLY;
	f->flags |= NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO;
}

static struct cow *new_cow(const struct cow_config *config, struct err *err)
{
	struct cow *c = calloc(1, sizeof(*c));

	if (!c || !(c->threads = io_threads_new(COPY_UP_THREADS))) {
		err_sys(err, ENOMEM, "%s", config->base);
		free(c);
		return NULL;
	}
	c->block = config->block;
	c->storage.ops = &cow_ops;
	c->base = file_open(config->base, FILE_READONLY, err);
	if (!c->base) {
		cow_free(c);
		return NULL;
	}
	choose_dir(c, config);
	set_facts(c, config);
	return c;
}

/* The first one is made to see that it can be, and given up. */
static bool try_overlay(struct cow *c, struct err *err)
{
	struct storage *st = open_overlay(c, err);

	if (st)
		st->ops->close(st);
	return st;
}

struct storage *cow_open(const struct cow_config *config, struct err *err)
{
	struct cow *c = new_cow(config, err);
	struct storage *st = NULL;

	if (!c)
		return NULL;
	if (config->layer)
		st = open_named(c, config->base, config->layer, err);
	else if (config->shared)
		st = open_overlay(c, err);
	else if (try_overlay(c, err))
		return &c->storage;
	if (!st)
		cow_free(c);
	else
		overlay_of(st)->owns_cow = true;
	return st;
}
