/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Before the first chunk is written to a target on this host: is it a target at all, is it ours
 * alone, what is there of the last copy and of one that was stopped. Whatever fails here has
 * changed nothing.
 */
#include "target_inner.h"

#include "guard.h"
#include "guard_open.h"
#include "log.h"
#include "stored.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { NAME_LEN_MAX = 200 };

/* '/' and '%' as %2F and %25; a long name as its hash. */
static void escape(const char *path, char out[NAME_LEN_MAX + 4])
{
	uint8_t hash[CODEC_HASH];
	size_t used = 0;

	for (const char *p = path; *p && used <= NAME_LEN_MAX; p++) {
		if (*p == '/' || *p == '%')
			used += (size_t)sprintf(out + used, *p == '/' ? "%%2F" : "%%25");
		else
			out[used++] = *p;
	}
	out[used] = 0;
	if (used > NAME_LEN_MAX && codec_hash(path, strlen(path), hash) == 0)
		codec_hex(hash, out);
}

int target_manifest_of(const struct spec *spec, char out[PATH_MAX], struct err *err)
{
	char name[NAME_LEN_MAX + 8];

	if (spec->kind == SPEC_FILE) {
		if (snprintf(out, PATH_MAX, "%s.manifest", spec->path) >= PATH_MAX)
			return err_set(err, ENAMETOOLONG, "%.60s...: too long", spec->path);
		return 0;
	}
	escape(spec->path, name);
	snprintf(out, PATH_MAX, "%s/%s.manifest", TARGET_MANIFESTS, name);
	return 0;
}

/* Every folder of the way; for our own one only. */
static int make_folders(const char *path, struct err *err)
{
	char part[PATH_MAX];

	for (const char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(p - path), path);
		if (mkdir(part, 0755) < 0 && errno != EEXIST && errno != EROFS)
			return err_sys(err, errno, "folder %s", part);
	}
	return 0;
}

static int make_folder(struct target_local *l, struct err *err)
{
	return l->in_place && !l->plan.manifest ? make_folders(l->manifest, err) : 0;
}

static int name_all(struct target_local *l, struct err *err)
{
	const char *path = l->spec->path;
	int ret = 0;

	if (l->plan.manifest)
		snprintf(l->manifest, PATH_MAX, "%s", l->plan.manifest);
	else
		ret = target_manifest_of(l->spec, l->manifest, err);
	if (ret < 0)
		return ret;
	if (l->in_place) {
		snprintf(l->data, PATH_MAX, "%s", path);
		ret = snprintf(l->manifest_partial, PATH_MAX, "%s.partial", l->manifest);
	} else {
		ret = snprintf(l->data, PATH_MAX, "%s.partial", path);
		if (ret < PATH_MAX)
			ret = snprintf(l->manifest_partial, PATH_MAX, "%s.partial.manifest", path);
	}
	return ret >= PATH_MAX ? err_set(err, ENAMETOOLONG, "%.60s...: too long", path) : 0;
}

/* As the last copy was: who may read it, and whose it is. */
static void take_rights(struct target_local *l)
{
	struct stat st;

	if (stat(l->spec->path, &st) < 0)
		return;
	if (fchown(l->fd, st.st_uid, st.st_gid) == 0)
		fchmod(l->fd, st.st_mode & 07777);
}

static int open_file(struct target_local *l, struct err *err)
{
	struct stat ours, there;

	l->fd = open(l->data, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (l->fd < 0)
		return err_sys(err, errno, "%s", l->data);
	if (flock(l->fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			? err_set(err, EBUSY, "%s: another lvm_copy writes it", l->data)
			: err_sys(err, errno, "%s: cannot be locked", l->data);
	l->locked = true;
	/* The other one may have renamed it while we opened it. */
	if (fstat(l->fd, &ours) < 0 || stat(l->data, &there) < 0 || ours.st_ino != there.st_ino ||
		!S_ISREG(ours.st_mode)) {
		l->locked = false;
		return err_set(err, EBUSY, "%s: another lvm_copy has just written it", l->data);
	}
	take_rights(l);
	l->medium = medium_fd_new(dup(l->fd), l->data, MEDIUM_WRITE, err);
	return l->medium ? 0 : -err->code;
}

/*
 * The name may lead elsewhere by now: what counts is what is open. Who has it open, too, may be the
 * other end of this copy, so that is asked last.
 */
static int check_opened(struct target_local *l, int fd, struct err *err)
{
	struct stat st;
	int ret;

	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "%s", l->data);
	ret = guard_check_stat(l->spec->kind, l->data, &st, l->plan.source, err);
	if (ret == 0)
		ret = target_check_device(l, fd, err);
	return ret < 0 ? ret : guard_open_check(st.st_rdev, 1, l->data, err);
}

static int open_device(struct target_local *l, struct err *err)
{
	int fd = open(l->data, O_RDWR | O_EXCL | O_CLOEXEC), ret;

	if (fd < 0 && errno == EBUSY)
		return err_set(
			err, EBUSY, "%s: in use (mounted, or held by another program)", l->data);
	if (fd < 0)
		return err_sys(err, errno, "%s", l->data);
	ret = check_opened(l, fd, err);
	if (ret < 0) {
		close(fd);
		return ret;
	}
	l->fd = dup(fd);
	l->medium = medium_fd_new(fd, l->data, MEDIUM_WRITE, err);
	return l->medium ? 0 : -err->code;
}

static int open_target(struct target_local *l, struct err *err)
{
	int ret;

	l->plan.head.target[0] = 0;
	if (l->spec->kind == SPEC_NBD) {
		l->medium = medium_nbd_new(l->data, MEDIUM_WRITE, err);
		ret = l->medium ? 0 : -err->code;
	} else {
		ret = l->in_place ? open_device(l, err) : open_file(l, err);
	}
	if (ret == 0 && l->in_place && l->medium->size < l->plan.head.size)
		return err_set(err, ENOSPC, "%s: has %llu bytes, the source %llu", l->data,
			(unsigned long long)l->medium->size, (unsigned long long)l->plan.head.size);
	return ret < 0 ? ret : target_check_content(l, err);
}

/* The last copy, as something to take chunks of. What is wrong with it only makes the copy full. */
static void open_old(struct target_local *l)
{
	struct err err;
	int fd;

	if (manifest_read(l->manifest, &l->old, &err) < 0) {
		if (err.code != ENOENT)
			log_warn("%s (all chunks are copied)", err.text);
		return;
	}
	if (!l->old.complete || l->old.head.chunk_size != l->plan.head.chunk_size ||
		l->old.head.codec != l->plan.head.codec) {
		log_warn("%s: of other chunks or another compression (all chunks are copied)",
			l->manifest);
		manifest_done(&l->old);
		return;
	}
	/* A name may be another disk's after a reboot; then only what is read of it counts. */
	if (l->in_place && strcmp(l->old.head.target, l->plan.head.target) != 0) {
		if (l->plan.trust)
			log_warn("%s: is not the device that %s is of (all of it is read)", l->data,
				l->manifest);
		manifest_done(&l->old);
	}
	if (l->in_place)
		return;
	fd = open(l->spec->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	l->old_fd = fd < 0 ? -1 : dup(fd);
	l->old_medium = fd < 0 ? NULL : medium_fd_new(fd, l->spec->path, MEDIUM_READ, &err);
	if (!l->old_medium || l->old_medium->size != stored_size(&l->old)) {
		log_warn("%s: not of the size its manifest says (all chunks are copied)",
			l->spec->path);
		manifest_done(&l->old);
	}
}

/* How many chunks of a copy that was stopped can stay; KEPT gets its manifest. */
static uint64_t find_kept(struct target_local *l, struct manifest *kept)
{
	struct err err;
	uint64_t good;

	if (!l->plan.resume)
		return 0;
	if (manifest_read(l->manifest_partial, kept, &err) < 0) {
		log_info("%s: nothing to go on with (%s)", l->data, err.text);
		return 0;
	}
	if (!kept->head.stable || !manifest_head_equal(&kept->head, &l->plan.head)) {
		log_warn("%s: was begun with another source, or one that changes: begins anew",
			l->data);
		return 0;
	}
	good = stored_good(l->medium, kept, l->data, l->plan.stop);
	return MIN_OF(good, manifest_chunks(&kept->head));
}

/* A file ends behind the chunks that stay, and is zero from there on. */
static int cut_file(
	struct target_local *l, const struct manifest *kept, uint64_t first, struct err *err)
{
	bool packed = l->plan.head.codec != CODEC_NONE;
	uint64_t size = l->plan.head.size;

	l->at = packed ? (first ? kept->at[first] : 0)
		       : MIN_OF(first * l->plan.head.chunk_size, size);
	if (ftruncate(l->fd, (off_t)l->at) < 0 || (!packed && ftruncate(l->fd, (off_t)size) < 0))
		return err_sys(err, errno, "%s: %llu bytes", l->data, (unsigned long long)size);
	return 0;
}

static int start_log(struct target_local *l, uint64_t *ret_first, struct err *err)
{
	struct manifest kept = {0};
	uint64_t first = find_kept(l, &kept);
	int ret = 0;

	if (l->plan.stop && atomic_load(l->plan.stop))
		ret = err_set(err, EINTR, "interrupted");
	/* From here on an older partial copy is gone. */
	l->begun = ret == 0;
	if (ret == 0)
		ret = manifest_log_open(
			&l->log, l->manifest_partial, &l->plan.head, &kept, first, err);
	if (ret == 0 && !l->in_place)
		ret = cut_file(l, &kept, first, err);
	manifest_done(&kept);
	if (ret == 0)
		*ret_first = first;
	return ret;
}

/* Everything that can be known without a change. */
static int check_only(struct target_local *l, struct err *err)
{
	char folder[PATH_MAX];

	if (l->in_place)
		return open_target(l, err);
	snprintf(folder, sizeof(folder), "%.*s",
		(int)(strrchr(l->spec->path, '/') - l->spec->path) + 1, l->spec->path);
	return access(folder, W_OK | X_OK) < 0 ? err_sys(err, errno, "folder %s", folder) : 0;
}

int target_begin(
	struct target *t, const struct target_plan *plan, uint64_t *ret_first, struct err *err)
{
	struct target_local *l = target_local_of(t);
	int ret = 0;

	l->plan = *plan;
	l->keep_partial = plan->head.stable;
	if (l->in_place && plan->head.codec)
		return err_set(err, EINVAL, "%s: only a file can be compressed", l->spec->path);
	if (l->spec->kind != SPEC_NBD)
		ret = guard_check(l->spec->kind, l->spec->path, plan->source, err);
	if (ret == 0)
		ret = name_all(l, err);
	if (ret == 0)
		ret = target_check_names(l, err);
	if (ret == 0 && plan->dry_run)
		return check_only(l, err);
	if (ret == 0)
		ret = make_folder(l, err);
	if (ret == 0)
		ret = open_target(l, err);
	if (ret == 0)
		ret = target_recover(l, err);
	if (ret < 0)
		return ret;
	if (plan->incremental)
		open_old(l);
	return start_log(l, ret_first, err);
}
