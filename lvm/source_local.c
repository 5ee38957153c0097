/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A source on this host; see source.h. Each chunk is hashed by the thread that read it. In a
 * restore the source is a copy, which has each chunk's hash in its manifest: one that differs ends
 * the restore, so nothing damaged is ever taken for good.
 *
 * A snapshot that overflows fails all reads that begin after that; one that was under way may bring
 * newer data and no error. So what was read counts only if the snapshot is good behind the last
 * read.
 */
#include "source.h"

#include "identity.h"
#include "manifest_file.h"
#include "medium.h"
#include "stored.h"
#include "target.h"
#include "util.h"
#include "vg_fill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct source_local {
	struct source source;
	const struct spec *spec;
	struct medium *medium;
	int fd;           /* a second one, for the look at the end; -1 = an export */
	bool is_snapshot; /* of LVM, as it was opened */
	bool restore;
	struct manifest manifest;  /* restore */
	uint8_t zeros[CODEC_HASH]; /* of a whole chunk of them */
};

static struct source_local *of(struct source *s)
{
	return container_of(s, struct source_local, source);
}

/* Most of many disks is zeros, whose hash is known. */
static int read_plain(struct source_local *l, struct chunk *c, struct err *err)
{
	uint64_t at = c->index * l->source.head.chunk_size;
	int ret = 0;

	c->zero = l->medium->ops->is_hole && l->medium->ops->is_hole(l->medium, c->len, at);
	if (c->zero)
		memset(c->data, 0, c->len);
	else
		ret = l->medium->ops->read(l->medium, c->data, c->len, at, err);
	if (ret < 0)
		return ret;
	c->zero = c->zero || codec_is_zero(c->data, c->len);
	if (c->zero && c->len == l->source.head.chunk_size)
		memcpy(c->hash, l->zeros, CODEC_HASH);
	else if (codec_hash(c->data, c->len, c->hash) < 0)
		return err_set(err, EIO, "SHA-256 failed");
	return 0;
}

static int read_copy(struct source_local *l, struct chunk *c, struct err *err)
{
	int ret = stored_read(l->medium, &l->manifest, l->spec->path, c, err);

	if (ret == 0)
		c->zero = codec_is_zero(c->data, c->len);
	return ret;
}

static int hash_zeros(struct source_local *l, struct err *err)
{
	size_t len = l->source.head.chunk_size;
	CLEANUP_FREE uint8_t *zeros = calloc(1, len);

	if (!zeros)
		return err_set(err, ENOMEM, "no memory for chunks of %zu bytes", len);
	return codec_hash(zeros, len, l->zeros) < 0 ? err_set(err, EIO, "SHA-256 failed") : 0;
}

static int local_read(struct source *s, struct chunk *c, const uint8_t *known, struct err *err)
{
	struct source_local *l = of(s);
	int ret = l->restore ? read_copy(l, c, err) : read_plain(l, c, err);

	if (ret < 0)
		return ret;
	c->same = known && memcmp(known, c->hash, CODEC_HASH) == 0;
	return 0;
}

/* It, and what it lies on: a partition in a snapshot is mapped once more. */
static int check_snapshots(struct source_local *l, struct err *err)
{
	dev_t below[IDENTITY_BELOW_MAX];
	struct stat st;
	size_t count;
	int ret = 0;

	if (fstat(l->fd, &st) < 0)
		return err_sys(err, errno, "%s", l->spec->path);
	count = S_ISBLK(st.st_mode) ? identity_below(st.st_rdev, below) : 0;
	for (size_t i = 0; ret == 0 && i < count; i++)
		ret = vg_fill_check(below[i], l->spec->path, i == 0 && l->is_snapshot, err);
	return ret;
}

/* A file that somebody wrote meanwhile is neither the old nor the new one. */
static int local_finish(struct source *s, struct err *err)
{
	struct source_local *l = of(s);
	char now[MANIFEST_IDENTITY_MAX];
	bool stable;
	int ret;

	if (l->fd < 0 || l->restore)
		return 0;
	ret = identity_of(l->fd, l->spec->path, now, &stable, err);
	if (ret == 0 && strcmp(now, s->head.identity) != 0)
		return err_set(err, ESTALE, "%s: was changed while it was copied", l->spec->path);
	return ret < 0 ? ret : check_snapshots(l, err);
}

static void local_free(struct source *s)
{
	struct source_local *l = of(s);

	medium_free(l->medium);
	fd_close(&l->fd);
	manifest_done(&l->manifest);
	free(l);
}

static const struct source_ops local_ops = {
	.read = local_read, .finish = local_finish, .free = local_free};

static int check_kind(const struct source_local *l, const struct stat *st, struct err *err)
{
	if (S_ISBLK(st->st_mode) || (S_ISREG(st->st_mode) && l->spec->kind == SPEC_FILE))
		return 0;
	return err_set(err, EINVAL, "%s: not a %s%s", l->spec->path,
		l->spec->kind == SPEC_FILE ? "file" : "block device",
		S_ISREG(st->st_mode) ? " (a file is file:...)" : "");
}

/* Looked at before it is opened: that alone sets off a watchdog, and rewinds a tape. */
static int open_checked(struct source_local *l, struct err *err)
{
	struct stat st;
	int ret;

	if (stat(l->spec->path, &st) < 0)
		return err_sys(err, errno, "%s", l->spec->path);
	ret = check_kind(l, &st, err);
	if (ret < 0)
		return ret;
	l->fd = open(l->spec->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (l->fd < 0 || fstat(l->fd, &st) < 0)
		return err_sys(err, errno, "%s", l->spec->path);
	return check_kind(l, &st, err);
}

static int open_path(struct source_local *l, bool cached, struct err *err)
{
	struct manifest_head *h = &l->source.head;
	struct stat st;
	int fd, ret = open_checked(l, err);

	if (ret < 0)
		return ret;
	fd = dup(l->fd);
	if (fd < 0)
		return err_sys(err, errno, "%s", l->spec->path);
	l->medium =
		medium_fd_new(fd, l->spec->path, cached ? MEDIUM_READ_CACHED : MEDIUM_READ, err);
	if (!l->medium)
		return -err->code;
	l->source.path = l->spec->path;
	if (identity_of(l->fd, l->spec->path, h->identity, &h->stable, err) < 0)
		return -err->code;
	l->is_snapshot = h->stable && fstat(l->fd, &st) == 0 && S_ISBLK(st.st_mode);
	return 0;
}

static void set_identity(struct source_local *l, const char *kind, const uint8_t hash[CODEC_HASH])
{
	char text[CODEC_HEX];

	codec_hex(hash, text);
	snprintf(l->source.head.identity, MANIFEST_IDENTITY_MAX, "%s %s", kind, text);
}

static int open_export(struct source_local *l, struct err *err)
{
	uint8_t hash[CODEC_HASH];

	l->medium = medium_nbd_new(l->spec->path, MEDIUM_READ, err);
	if (!l->medium)
		return -err->code;
	/* A hash, as a URI may be longer than there is room, and names may differ at its end. */
	if (codec_hash(l->spec->path, strlen(l->spec->path), hash) < 0)
		return err_set(err, EIO, "SHA-256 failed");
	set_identity(l, "nbd", hash);
	return 0;
}

/* From here on the head is that of what was copied once. */
static int take_manifest(struct source_local *l, const char *manifest, struct err *err)
{
	char usual[PATH_MAX];
	uint64_t stored;
	int ret = 0;

	if (!manifest && l->spec->kind != SPEC_FILE) {
		ret = target_manifest_of(l->spec, usual, err);
		manifest = usual;
	}
	if (ret == 0)
		ret = stored_manifest(l->spec->path, manifest, &l->manifest, err);
	if (ret < 0)
		return ret;
	stored = l->manifest.head.codec ? l->manifest.at[l->manifest.count] : l->manifest.head.size;
	if (l->spec->kind == SPEC_FILE ? l->medium->size != stored : l->medium->size < stored)
		return err_set(err, EBADMSG, "%s: has %llu bytes, its manifest says %llu",
			l->spec->path, (unsigned long long)l->medium->size,
			(unsigned long long)stored);
	l->source.head = l->manifest.head;
	/* One source may have been copied twice, and have changed: the copy has an identity. */
	set_identity(l, "copy", l->manifest.trailer.digest);
	l->source.head.stable = true;
	l->restore = true;
	return 0;
}

struct source *source_local_new(
	const struct spec *spec, const struct source_want *want, struct err *err)
{
	struct source_local *l = calloc(1, sizeof(*l));
	int ret;

	if (!l) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	*l = (struct source_local){.source.ops = &local_ops, .spec = spec, .fd = -1};
	ret = spec->kind == SPEC_NBD ? open_export(l, err) : open_path(l, want->cached, err);
	if (ret == 0) {
		l->source.head.size = l->medium->size;
		l->source.head.chunk_size = want->chunk_size ? want->chunk_size : SOURCE_CHUNK;
		spec_print(spec, false, l->source.head.source);
	}
	if (ret == 0 && want->restore)
		ret = take_manifest(l, want->manifest, err);
	if (ret == 0)
		ret = manifest_head_check(&l->source.head, err);
	if (ret == 0)
		ret = hash_zeros(l, err);
	if (ret == 0)
		return &l->source;
	local_free(&l->source);
	return NULL;
}
