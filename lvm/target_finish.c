/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The end of a copy on this host: durable, read again if asked for, complete, and only then in the
 * place of the last one. See target.h for the order of the two renames and what a crash leaves.
 */
#include "target_inner.h"

#include "stored.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int target_sync_folder(const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];
	CLEANUP_FD int fd = -1;

	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) + 1 : 1,
		slash ? path : ".");
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return err_sys(err, errno, "folder %s", folder);
	return 0;
}

static int move(const char *from, const char *to, struct err *err)
{
	if (rename(from, to) < 0)
		return err_sys(err, errno, "%s: could not become %s", from, to);
	return target_sync_folder(to, err);
}

static bool is_renamed(const struct target_local *l, const struct manifest *m)
{
	struct stat st;

	return fstat(l->fd, &st) == 0 && st.st_size == 0 && stored_size(m) > 0 &&
		stored_is_of(l->spec->path, m, l->plan.stop);
}

/*
 * A complete manifest whose data has its final name already. The data file was made anew by
 * open_target() then, and is empty, which no complete copy is: even nothing, compressed, is more.
 * Unless somebody has removed the data: then the last copy has its own manifest, and keeps it.
 */
int target_recover(const struct target_local *l, struct err *err)
{
	/* Locked before it is read: whoever has just completed it is about to rename it. */
	struct err why;
	CLEANUP_FD int lock = manifest_lock(l->manifest_partial, false, &why);
	struct manifest m;
	bool moved;

	if (lock < 0 && lock != -ENOENT)
		*err = why;
	if (lock < 0)
		return lock == -ENOENT ? 0 : lock;
	if (manifest_read(l->manifest_partial, &m, &why) < 0)
		return 0;
	moved = m.complete && (l->in_place || is_renamed(l, &m));
	manifest_done(&m);
	return moved ? move(l->manifest_partial, l->manifest, err) : 0;
}

int target_forget(struct target_local *l, struct err *err)
{
	if (l->forgot)
		return 0;
	if (fsync(l->log.fd) < 0)
		return err_sys(err, errno, "%s", l->manifest_partial);
	if (unlink(l->manifest) < 0 && errno != ENOENT)
		return err_sys(err, errno, "%s", l->manifest);
	l->forgot = true;
	return target_sync_folder(l->manifest, err);
}

static int read_back(struct target_local *l, struct err *err)
{
	struct manifest m;
	int ret = manifest_read(l->manifest_partial, &m, err);

	if (ret < 0)
		return ret;
	ret = stored_check(l->medium, &m, l->data, l->plan.threads, l->plan.stop, err);
	manifest_done(&m);
	return ret;
}

int target_commit(struct target *t, struct target_result *ret_result, struct err *err)
{
	struct target_local *l = target_local_of(t);
	int ret;

	if (l->log.totals.chunks != manifest_chunks(&l->plan.head))
		return err_set(err, EPROTO, "%s: chunks are missing", l->data);
	ret = l->medium->ops->sync(l->medium, err);
	if (ret == 0)
		ret = manifest_log_flush(&l->log, err);
	if (ret == 0 && l->plan.readback)
		ret = read_back(l, err);
	if (ret == 0)
		ret = manifest_log_finish(&l->log, l->plan.readback, err);
	if (ret < 0)
		return ret;
	/* What is complete stays, even if it cannot be moved to its place. */
	l->keep_partial = true;
	if (!l->in_place)
		ret = move(l->data, l->spec->path, err);
	if (ret == 0)
		ret = move(l->manifest_partial, l->manifest, err);
	if (ret < 0)
		return ret;
	l->committed = true;
	ret_result->totals = l->log.totals;
	snprintf(ret_result->manifest, PATH_MAX, "%s", l->manifest);
	return 0;
}
