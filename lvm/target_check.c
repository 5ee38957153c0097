/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What guard.c cannot know, as it knows nothing of copies: the files beside a target are written,
 * renamed and removed as well, so they must be lvm_copy's own, and none of them the source; a disk
 * that nobody here has open may be a physical volume, in use on the other node of a pair; and that
 * node may call the source by another name. Nothing is changed here.
 */
#include "target_inner.h"

#include "identity.h"
#include "stored.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SECTOR = 512, LABEL_SECTORS = 4, LABEL_TYPE_AT = 24 };

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), part = strlen(end);

	return len >= part && strcmp(text + len - part, end) == 0;
}

/* x.partial.manifest would be two things: the manifest of x.partial, and a part of x. */
static int check_end(const char *path, struct err *err)
{
	if (!ends_with(path, ".partial") && !ends_with(path, ".manifest"))
		return 0;
	return err_set(err, EINVAL,
		"%s: lvm_copy itself gives such names to files beside a copy; give another name",
		path);
}

static int check_other(const char *path, const char *source, struct err *err)
{
	struct stat other, st;

	if (!source || stat(path, &other) < 0 || stat(source, &st) < 0)
		return 0;
	if (other.st_dev != st.st_dev || other.st_ino != st.st_ino)
		return 0;
	return err_set(err, EINVAL, "%s: is the source itself (%s), and would be overwritten", path,
		source);
}

/* Of a crash at the wrong moment it may be empty. */
static int check_manifest(const char *path, struct err *err)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	uint8_t bytes[8];
	struct stat st;
	ssize_t n;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "%s", path);
	n = S_ISREG(st.st_mode) ? read(fd, bytes, sizeof(bytes)) : -1;
	if (n >= 0 && manifest_is_one(bytes, (size_t)n))
		return 0;
	return err_set(err, EEXIST,
		"%s: is no manifest of lvm_copy, and would be overwritten; move it away", path);
}

/* What lvm_copy has begun has a manifest from the start, and loses it last. */
static int check_partial(const struct target_local *l, struct err *err)
{
	struct stat st;

	if (l->in_place || stat(l->data, &st) < 0 || st.st_size == 0 ||
		access(l->manifest_partial, F_OK) == 0)
		return 0;
	return err_set(err, EEXIST,
		"%s: is no partial copy of lvm_copy, and would be overwritten; move it away",
		l->data);
}

int target_check_names(const struct target_local *l, struct err *err)
{
	const char *source = l->plan.source;
	int ret = l->in_place ? 0 : check_end(l->spec->path, err);

	if (ret == 0 && !l->in_place)
		ret = check_other(l->data, source, err);
	if (ret == 0)
		ret = check_other(l->manifest, source, err);
	if (ret == 0)
		ret = check_other(l->manifest_partial, source, err);
	if (ret == 0)
		ret = check_manifest(l->manifest, err);
	if (ret == 0)
		ret = check_manifest(l->manifest_partial, err);
	return ret < 0 ? ret : check_partial(l, err);
}

/* Is M of what is in the device: by its first chunk, where the label is? */
static bool has_first_chunk(const struct target_local *l, const struct manifest *m)
{
	CLEANUP_FREE uint8_t *data = aligned_alloc(PIPELINE_ALIGN, m->head.chunk_size);
	struct chunk c = {.data = data};
	struct err ignored;

	return data && m->count > 0 && m->head.codec == CODEC_NONE &&
		stored_read(l->medium, m, l->data, &c, &ignored) == 0;
}

/* The name may be that of another disk since. */
static bool is_of_device(const struct target_local *l, const char *path)
{
	struct manifest m;
	struct err ignored;
	bool found;

	if (manifest_read(path, &m, &ignored) < 0)
		return false;
	found = strcmp(m.head.target, l->plan.head.target) == 0 || has_first_chunk(l, &m);
	manifest_done(&m);
	return found;
}

/* Has lvm_copy written it before? Then its label came with a copy. */
static bool is_our_copy(const struct target_local *l)
{
	return is_of_device(l, l->manifest) || is_of_device(l, l->manifest_partial);
}

/* A label of LVM is in one of the first four sectors. */
static bool has_label(const uint8_t *bytes, size_t len)
{
	for (; len >= SECTOR; bytes += SECTOR, len -= SECTOR) {
		if (memcmp(bytes, "LABELONE", 8) == 0 &&
			memcmp(bytes + LABEL_TYPE_AT, "LVM2 001", 8) == 0)
			return true;
	}
	return false;
}

static int check_label(const struct target_local *l, struct err *err)
{
	uint8_t bytes[LABEL_SECTORS * SECTOR];
	size_t len = (size_t)MIN_OF(l->medium->size, (uint64_t)sizeof(bytes));
	int ret = l->medium->ops->read(l->medium, bytes, len, 0, err);

	if (ret < 0 || !has_label(bytes, len) || is_our_copy(l))
		return ret;
	return err_set(err, EBUSY,
		"%s: is a physical volume of LVM, maybe of a volume group that is active on "
		"another host; if it is not, run pvremove or wipefs first",
		l->data);
}

/* A volume of a group that two hosts see has one UUID on both. */
int target_check_device(struct target_local *l, int fd, struct err *err)
{
	struct manifest_head *h = &l->plan.head;
	bool ignored;
	int ret = identity_of(fd, l->data, h->target, &ignored, err);

	if (ret < 0 || l->plan.restore || !identity_is_one_volume(h->identity, h->target))
		return ret;
	return err_set(err, EINVAL, "%s: is the source itself (%s)", l->data, h->source);
}

int target_check_content(const struct target_local *l, struct err *err)
{
	return l->in_place && l->spec->kind == SPEC_DEV ? check_label(l, err) : 0;
}
