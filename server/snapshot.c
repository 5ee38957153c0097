/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files of snapshots, cloning and copying; see snapshot.h. */
#include "snapshot.h"

#include "clock.h"
#include "copy_up.h"
#include "file.h"
#include "nbd.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

enum { NAMES_TRIED = 1000, FLUSHES = 4, FLUSH_QUICK_NS = 20 * 1000 * 1000 };

const char *snapshot_state_name(enum snapshot_state state)
{
	static const char *const names[] = {"copying", "complete", "failed"};

	return names[state];
}

static struct snapshot *snapshot_of(struct storage *st)
{
	return container_of(st, struct snapshot, layer.storage);
}

/* As a storage. */

static void fill(struct layer *l, struct fill *f)
{
	struct snapshot *s = snapshot_of(&l->storage);

	copy_up_start(f, s->live, &s->clones, s->threads);
}

/* What cannot be saved now may be overwritten at once, so it is lost for good. */
static void failed(struct layer *l, int error)
{
	if (!l->broken)
		layer_break(l, -error);
}

static const struct layer_ops saves = {
	.fill = fill,
	.failed = failed,
	.fill_size = sizeof(struct copy_up),
	.fill_bytes = SNAPSHOT_FILL,
};

/* Of a broken one nothing is true any more: what was not saved was overwritten. */
static int prepare(struct storage *st, struct request *rq)
{
	int ret = snapshot_of(st)->layer.broken ? -EIO : layer_prepare(st, rq);

	return ret < 0 ? -EIO : ret; /* whatever made the copy fail */
}

static int flush(struct storage *st)
{
	(void)st;
	return 0;
}

static const struct storage_ops snapshot_ops = {
	.kind = "snapshot",
	.map = layer_map,
	.prepare = prepare,
	.release = layer_release,
	.flush = flush,
	.cache = layer_cache,
	.extents = layer_extents,
	.own_fd = layer_own_fd,
};

/* Its file. */

static int make_partial(struct snapshot *s)
{
	int fd;

	if (snprintf(s->partial, sizeof(s->partial), "%s.partial", s->path) >=
		(int)sizeof(s->partial))
		return -ENAMETOOLONG;
	if (faccessat(AT_FDCWD, s->path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	fd = open(s->partial, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	s->has_partial = true;
	if (ftruncate(fd, (off_t)s->live->facts.size) < 0) {
		int ret = -errno;

		close(fd);
		return ret;
	}
	close(fd);
	return 0;
}

static int name_it(struct snapshot *s, const char *image, uint64_t *id, struct err *err)
{
	struct stat st;
	int ret = -EEXIST;

	if (stat(image, &st) == 0 && S_ISBLK(st.st_mode))
		return err_set(err, EINVAL,
			"%s is a device, which has no place for a snapshot beside it; name a file (--to FILE)",
			image);
	for (int i = 0; ret == -EEXIST && i < NAMES_TRIED; i++) {
		snprintf(s->path, sizeof(s->path), "%.*s.snapshot.%llu", PATH_MAX - 40, image,
			(unsigned long long)*id + (unsigned)i);
		ret = make_partial(s);
		s->id = *id + (unsigned)i;
	}
	*id = s->id;
	return ret < 0 ? err_sys(err, -ret, "snapshot %s", s->path) : 0;
}

static int make_file(
	struct snapshot *s, const char *image, const char *to, uint64_t *id, struct err *err)
{
	int ret;

	if (!to)
		return name_it(s, image, id, err);
	snprintf(s->path, sizeof(s->path), "%.*s", PATH_MAX - 1, to);
	s->id = *id;
	ret = make_partial(s);
	if (ret == -EEXIST && faccessat(AT_FDCWD, to, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, EEXIST, "snapshot %s", s->partial);
	return ret < 0 ? err_sys(err, -ret, "snapshot %.160s", to) : 0;
}

static void set_facts(struct snapshot *s)
{
	struct export_facts *f = &s->layer.storage.facts;

	*f = s->live->facts;
	f->flags |= NBD_FLAG_READ_ONLY | NBD_FLAG_CAN_MULTI_CONN;
	f->flags &= (uint16_t) ~(
		NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO);
}

static int open_layer(struct snapshot *s, struct err *err)
{
	struct storage *top = file_open(s->partial, 0, err);

	if (!top)
		return -err->code;
	s->layer.storage.ops = &snapshot_ops;
	s->layer.storage.in_place = true;
	set_facts(s);
	if (blockmap_init(&s->layer.map, s->live->facts.size, SNAPSHOT_BLOCK) < 0 ||
		layer_init(&s->layer, &saves, top, NULL) < 0)
		return err_sys(err, ENOMEM, "snapshot");
	return 0;
}

/* Extents that a clone of the file would have to copy. */
static unsigned extents_of(int fd)
{
	struct fiemap map = {.fm_length = FIEMAP_MAX_OFFSET};

	return ioctl(fd, FS_IOC_FIEMAP, &map) < 0 ? 0 : map.fm_mapped_extents;
}

/* With a block that counts as absent still. */
static void try_clone(struct snapshot *s)
{
	uint64_t length = MIN_OF((uint64_t)SNAPSHOT_BLOCK, s->live->facts.size);

	struct piece all;

	s->clones = copy_up_clone(s->live, s->layer.top, 0, length) == 0;
	s->live->ops->map(s->live, false, 0, s->live->facts.size, &all, 1);
	s->scattered = s->clones && extents_of(all.fd) > SNAPSHOT_EXTENTS;
}

/* Cloning writes out what is in memory, while all writes wait: so most of it goes now, and what has
 * come meanwhile again. */
static void write_out(struct storage *live)
{
	for (int i = 0; i < FLUSHES; i++) {
		uint64_t began = clock_ns();

		live->ops->flush(live);
		if (clock_ns() - began < FLUSH_QUICK_NS)
			return;
	}
}

struct snapshot *snapshot_new(
	struct storage *live, const char *image, const char *to, uint64_t *id, struct err *err)
{
	struct snapshot *s = calloc(1, sizeof(*s));

	if (!s || !(s->threads = io_threads_new(COPY_UP_THREADS))) {
		free(s);
		err_sys(err, ENOMEM, "snapshot");
		return NULL;
	}
	s->live = live;
	if (make_file(s, image, to, id, err) == 0 && open_layer(s, err) == 0)
		return s;
	snapshot_free(s);
	return NULL;
}

void snapshot_settle(struct snapshot *s)
{
	write_out(s->live);
	try_clone(s);
}

void snapshot_stop(struct snapshot *s)
{
	if (s->layer.storage.ops && s->has_partial)
		layer_break(&s->layer, ESHUTDOWN);
	copier_done(&s->copier);
}

void snapshot_free(struct snapshot *s)
{
	if (!s)
		return;
	copier_done(&s->copier);
	io_threads_free(s->threads);
	layer_done(&s->layer, false);
	if (s->has_partial)
		unlink(s->partial);
	free(s->name);
	free(s);
}

/* Becoming complete. */

int snapshot_clone(struct snapshot *s)
{
	struct piece from;
	int to = layer_own_fd(&s->layer.storage);

	s->live->ops->map(s->live, false, 0, s->live->facts.size, &from, 1);
	if (from.kind != PIECE_DATA || from.length != s->live->facts.size)
		return -EOPNOTSUPP;
	if (!s->clones || s->scattered)
		return -EOPNOTSUPP;
	if (ioctl(to, FICLONE, from.fd) < 0)
		return -errno;
	s->whole = true;
	blockmap_set(&s->layer.map, 0, s->layer.map.blocks);
	return 0;
}

int snapshot_copy(struct snapshot *s, const struct copier_ops *ops)
{
	static const struct copier_settings settings = {.unit = SNAPSHOT_UNIT};

	copier_init(&s->copier, &s->layer, ops, s);
	return copier_start(&s->copier, &settings);
}

static int sync_folder(const char *path)
{
	char copy[PATH_MAX];
	CLEANUP_FD int fd = -1;

	snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Some file systems (NFS) know no such rename; there the file has both names for a moment. */
static int give_name(struct snapshot *s)
{
	if (renameat2(AT_FDCWD, s->partial, AT_FDCWD, s->path, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	return link(s->partial, s->path) < 0 || unlink(s->partial) < 0 ? -errno : 0;
}

/* A clone of a live image that is longer than the export is as long as that. */
static int complete(struct snapshot *s)
{
	int fd = layer_own_fd(&s->layer.storage), ret;

	if (ftruncate(fd, (off_t)s->live->facts.size) < 0 || fsync(fd) < 0)
		return -errno;
	if (s->layer.broken)
		return -s->layer.broken;
	ret = give_name(s);
	if (ret < 0)
		return ret;
	s->has_partial = false;
	return sync_folder(s->path);
}

/* Clients may have it open still: its blocks go now all the same, and they get errors. */
static void give_back(struct snapshot *s)
{
	if (!s->has_partial)
		return;
	unlink(s->partial);
	s->has_partial = false;
	layer_settle(&s->layer); /* it would make the file long again, with zeros */
	if (ftruncate(layer_own_fd(&s->layer.storage), 0) < 0)
		return; /* they go with the last client */
}

int snapshot_finish(struct snapshot *s, int result)
{
	if (result == 0)
		result = complete(s);
	if (result < 0) {
		layer_break(&s->layer, -result);
		give_back(s);
	}
	return result;
}
