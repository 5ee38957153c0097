/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Overlays: what layer.h calls a layer, with the base as what is below and what fills it. The
 * `struct cow` has what they share, and is itself the storage whose clients get private ones.
 */
#include "cow.h"

#include "copy_up.h"
#include "file.h"
#include "fingerprint.h"
#include "fsutil.h"
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

enum { OVERLAY_FILLS = 16 };

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
	copy_up_start(f, l->base, NULL, overlay_of(&l->storage)->cow->threads);
}

/* There may be one such layer for each of many clients. */
static const struct layer_ops overlay_fills = {
	.fill = fill,
	.fills = OVERLAY_FILLS,
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
	if (!o)
		return NULL;
	o->layer.storage.forgets = true;
	return &o->layer.storage;
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

/* What is there of a named overlay. */
struct named {
	const char *path;
	char bitmap[PATH_MAX], info[PATH_MAX];
	uint64_t size; /* of the overlay, bytes; 0 = empty or not there */
	bool holes;    /* nothing was ever written into it */
	bool has_map;
	uint64_t map_size; /* of the bitmap, bytes */
	bool has_info;
};

static void look_at_named(struct named *n, const char *path)
{
	struct stat st;

	*n = (struct named){.path = path};
	snprintf(n->bitmap, sizeof(n->bitmap), "%.*s.bitmap", PATH_MAX - 16, path);
	snprintf(n->info, sizeof(n->info), "%.*s.bitmap.info", PATH_MAX - 16, path);
	if (lstat(path, &st) == 0) {
		n->size = (uint64_t)st.st_size;
		n->holes = st.st_blocks == 0;
	}
	if (lstat(n->bitmap, &st) == 0) {
		n->has_map = true;
		n->map_size = (uint64_t)st.st_size;
	}
	n->has_info = access(n->info, F_OK) == 0;
}

/*
 * What is there already and is no overlay must not become one: it may be somebody's image. A bitmap
 * alone proves nothing, the cache of a proxy has one too. Nor may bits be believed of a file that
 * is not the one they are of.
 */
static int check_named(const struct named *n, uint64_t size, struct err *err)
{
	bool begun = n->has_map && n->map_size == 0 && n->holes; /* and not come to its end */

	if (n->size == 0 && n->map_size > 0)
		return err_set(err, EINVAL,
			"--cow-layer %s: is empty or missing, but %s is of an overlay; remove that to begin anew",
			n->path, n->bitmap);
	if (n->size > 0 && !(n->has_map && n->has_info) && !begun)
		return err_set(err, EEXIST,
			"--cow-layer %s: is there, but is no overlay (%s is missing); name a new file",
			n->path, n->has_map ? n->info : n->bitmap);
	if (n->size > 0 && n->size != size)
		return err_set(err, EINVAL,
			"--cow-layer %s: has %llu bytes, but the base has %llu; it is an overlay of another base",
			n->path, (unsigned long long)n->size, (unsigned long long)size);
	return 0;
}

static int create_named(const struct named *n, uint64_t size, struct err *err)
{
	CLEANUP_FD int fd = -1;

	if (check_named(n, size, err) < 0)
		return -err->code;
	fd = open(n->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || (n->size == 0 && ftruncate(fd, (off_t)size) < 0))
		return err_sys(err, errno, "--cow-layer %s", n->path);
	return 0;
}

static struct storage *open_named(
	struct cow *c, const char *base, const char *path, struct err *err)
{
	struct blockmap_wish wish = {.size = c->storage.facts.size,
		.block = c->block,
		.what = "overlay",
		.anew = "remove it and the overlay"};
	struct overlay *o = NULL;
	struct named named;
	int ret = -1;

	look_at_named(&named, path);
	wish.path = named.bitmap;
	wish.identity = identity_of(c, base, err);
	if (wish.identity && create_named(&named, wish.size, err) == 0)
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

/* For good: a server in the background goes to another folder later. */
static void choose_dir(struct cow *c, const struct cow_config *config)
{
	CLEANUP_FREE char *absolute = NULL;
	const char *dir = config->dir;
	char copy[PATH_MAX];
	struct stat st;

	snprintf(copy, sizeof(copy), "%s", config->base);
	if (!dir)
		dir = stat(config->base, &st) == 0 && S_ISBLK(st.st_mode) ? "/var/tmp"
									  : dirname(copy);
	absolute = realpath(dir, NULL);
	snprintf(c->dir, sizeof(c->dir), "%s", absolute ? absolute : dir);
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

/* Its files are opened and replaced by name until the end; see choose_dir(). */
static struct storage *open_settled(struct cow *c, const struct cow_config *config, struct err *err)
{
	CLEANUP_FREE char *absolute = fs_absolute(config->layer);

	return open_named(c, config->base, absolute ? absolute : config->layer, err);
}

struct storage *cow_open(const struct cow_config *config, struct err *err)
{
	struct cow *c = new_cow(config, err);
	struct storage *st = NULL;

	if (!c)
		return NULL;
	if (config->layer)
		st = open_settled(c, config, err);
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
