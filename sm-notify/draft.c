/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Atomic replacement of files by way of a folder's descriptor; see draft.h. The temporary file is
 * made anew each time (O_EXCL), so that nothing prepared under its name is ever written to.
 */
#include "draft.h"

#include "fsutil.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int draft_begin(struct draft *d, int folder, const char *temp)
{
	d->folder = folder;
	d->temp = temp;
	d->used = 0;
	d->error = 0;
	unlinkat(folder, temp, 0);
	d->fd = openat(folder, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		S_IRUSR | S_IWUSR);
	return d->fd < 0 ? -errno : 0;
}

static void write_out(struct draft *d)
{
	if (d->error == 0)
		d->error = fs_write_all(d->fd, d->bytes, d->used);
	if (d->error == 0)
		d->used = 0;
}

void draft_put(struct draft *d, const void *bytes, size_t len)
{
	const char *p = bytes;

	while (len > 0 && d->error == 0) {
		size_t n = MIN_OF(len, sizeof(d->bytes) - d->used);

		memcpy(d->bytes + d->used, p, n);
		d->used += n;
		p += n;
		len -= n;
		if (d->used == sizeof(d->bytes))
			write_out(d);
	}
}

void draft_like(struct draft *d, const struct stat *like)
{
	struct stat st;

	if (d->error == 0 && fchmod(d->fd, like->st_mode & 0777) < 0)
		d->error = -errno;
	if (fstat(d->fd, &st) < 0 || (st.st_uid == like->st_uid && st.st_gid == like->st_gid))
		return;
	if (fchown(d->fd, like->st_uid, like->st_gid) < 0)
		return; /* not root: then it is ours, as the file before was */
}

void draft_mtime(struct draft *d, struct timespec mtime)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, mtime};

	write_out(d);
	if (d->error == 0 && futimens(d->fd, times) < 0)
		d->error = -errno;
}

int draft_commit(struct draft *d, int folder, const char *name)
{
	write_out(d);
	if (d->error == 0 && fsync(d->fd) < 0)
		d->error = -errno;
	if (d->error == 0 && renameat(d->folder, d->temp, folder, name) < 0)
		d->error = -errno;
	if (d->error < 0) {
		draft_abandon(d);
		return d->error;
	}
	fd_close(&d->fd);
	return 0;
}

void draft_abandon(struct draft *d)
{
	if (d->fd < 0)
		return;
	fd_close(&d->fd);
	unlinkat(d->folder, d->temp, 0);
}

int draft_sync_folder(int folder)
{
	return fsync(folder) < 0 && errno != EINVAL && errno != ENOTSUP ? -errno : 0;
}
