/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files and block devices; see medium.h. There are two descriptors of one file: `direct` goes past
 * the page cache, `fd` through it for what is not aligned: the end of a file, compressed chunks.
 * What went through the cache is written back and dropped soon after.
 */
#include "medium.h"

#include "pipeline.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

struct medium_fd {
	struct medium medium;
	int fd;
	int direct;        /* -1: there is no O_DIRECT here */
	atomic_bool plain; /* O_DIRECT was refused: not tried again */
	bool block;
	const char *name;
};

/* Without O_DIRECT, what is that far behind is dropped from the page cache. */
enum { BEHIND = 16 * 1024 * 1024 };

static struct medium_fd *of(struct medium *m)
{
	return container_of(m, struct medium_fd, medium);
}

static bool goes_direct(struct medium_fd *f, const void *bytes, size_t len, uint64_t at)
{
	return f->direct >= 0 && !atomic_load(&f->plain) && at % PIPELINE_ALIGN == 0 &&
		len % PIPELINE_ALIGN == 0 && (uintptr_t)bytes % PIPELINE_ALIGN == 0;
}

/* One call, by O_DIRECT if that works here. Bytes or -errno. */
static ssize_t read_some(struct medium_fd *f, void *bytes, size_t len, uint64_t at)
{
	ssize_t n;

	if (goes_direct(f, bytes, len, at)) {
		n = pread(f->direct, bytes, len, (off_t)at);
		if (n >= 0 || (errno != EINVAL && errno != EOPNOTSUPP))
			return n < 0 ? -errno : n;
		atomic_store(&f->plain, true);
	}
	n = pread(f->fd, bytes, len, (off_t)at);
	return n < 0 ? -errno : n;
}

static void drop_cache(struct medium_fd *f, size_t len, uint64_t at)
{
	if (f->direct < 0 || atomic_load(&f->plain))
		posix_fadvise(f->fd, (off_t)at, (off_t)len, POSIX_FADV_DONTNEED);
}

static int fd_read(struct medium *m, void *bytes, size_t len, uint64_t at, struct err *err)
{
	struct medium_fd *f = of(m);
	size_t done = 0;

	while (done < len) {
		ssize_t n = read_some(f, (char *)bytes + done, len - done, at + done);

		if (n == -EINTR)
			continue;
		if (n < 0)
			return err_sys(err, (int)-n, "%s: read at %llu", f->name,
				(unsigned long long)(at + done));
		if (n == 0)
			return err_set(err, EIO,
				"%s: ends at %llu, and had more when it was opened", f->name,
				(unsigned long long)(at + done));
		done += (size_t)n;
	}
	drop_cache(f, len, at);
	return 0;
}

static ssize_t write_some(struct medium_fd *f, const void *bytes, size_t len, uint64_t at)
{
	ssize_t n;

	if (goes_direct(f, bytes, len, at)) {
		n = pwrite(f->direct, bytes, len, (off_t)at);
		if (n >= 0 || (errno != EINVAL && errno != EOPNOTSUPP))
			return n < 0 ? -errno : n;
		atomic_store(&f->plain, true);
	}
	n = pwrite(f->fd, bytes, len, (off_t)at);
	if (n > 0) {
		sync_file_range(f->fd, (off_t)at, n, SYNC_FILE_RANGE_WRITE);
		if (at > BEHIND)
			posix_fadvise(f->fd, (off_t)(at - BEHIND), BEHIND / 2, POSIX_FADV_DONTNEED);
	}
	return n < 0 ? -errno : n;
}

static int fd_write(struct medium *m, const void *bytes, size_t len, uint64_t at, struct err *err)
{
	struct medium_fd *f = of(m);
	size_t done = 0;

	while (done < len) {
		ssize_t n = write_some(f, (const char *)bytes + done, len - done, at + done);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, n ? (int)-n : ENOSPC, "%s: write at %llu", f->name,
				(unsigned long long)(at + done));
		done += (size_t)n;
	}
	return 0;
}

static int write_zeros(struct medium_fd *f, size_t len, uint64_t at, struct err *err)
{
	static const _Alignas(PIPELINE_ALIGN) char zeros[64 * 1024];
	int ret = 0;

	while (ret == 0 && len > 0) {
		size_t n = MIN_OF(len, sizeof(zeros));

		ret = fd_write(&f->medium, zeros, n, at, err);
		at += n;
		len -= n;
	}
	return ret;
}

static int fd_zero(struct medium *m, size_t len, uint64_t at, struct err *err)
{
	struct medium_fd *f = of(m);
	uint64_t range[2] = {at, len};

	if (f->block && at % 512 == 0 && len % 512 == 0 && ioctl(f->fd, BLKZEROOUT, range) == 0)
		return 0;
	if (!f->block &&
		fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at,
			(off_t)len) == 0)
		return 0;
	return write_zeros(f, len, at, err);
}

static int fd_sync(struct medium *m, struct err *err)
{
	struct medium_fd *f = of(m);

	if (fsync(f->fd) < 0)
		return err_sys(err, errno, "%s: not all of it reached the disk", f->name);
	/* What is read again from here on comes from the disk. */
	posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

static bool fd_is_hole(struct medium *m, size_t len, uint64_t at)
{
	struct medium_fd *f = of(m);
	off_t data;

	if (f->block)
		return false;
	data = lseek(f->fd, (off_t)at, SEEK_DATA);
	if (data < 0)
		return errno == ENXIO && range_inside(at, len, m->size);
	return (uint64_t)data >= at + len;
}

static void fd_free(struct medium *m)
{
	struct medium_fd *f = of(m);

	fd_close(&f->fd);
	fd_close(&f->direct);
	free(f);
}

static const struct medium_ops fd_ops = {.read = fd_read,
	.write = fd_write,
	.zero = fd_zero,
	.sync = fd_sync,
	.is_hole = fd_is_hole,
	.free = fd_free};

static int look(struct medium_fd *f, struct err *err)
{
	struct stat st;

	if (fstat(f->fd, &st) < 0)
		return err_sys(err, errno, "%s", f->name);
	f->block = S_ISBLK(st.st_mode);
	if (!f->block && !S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "%s: neither a file nor a block device", f->name);
	f->medium.size = (uint64_t)st.st_size;
	if (f->block && ioctl(f->fd, BLKGETSIZE64, &f->medium.size) < 0)
		return err_sys(err, errno, "%s: size", f->name);
	return 0;
}

struct medium *medium_fd_new(int fd, const char *name, enum medium_mode mode, struct err *err)
{
	struct medium_fd *f = calloc(1, sizeof(*f));
	char path[64];

	if (!f) {
		close(fd);
		err_set(err, ENOMEM, "%s: out of memory", name);
		return NULL;
	}
	*f = (struct medium_fd){.medium.ops = &fd_ops, .fd = fd, .direct = -1, .name = name};
	if (look(f, err) < 0) {
		fd_free(&f->medium);
		return NULL;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (mode != MEDIUM_READ_CACHED)
		f->direct = open(
			path, (mode == MEDIUM_READ ? O_RDONLY : O_RDWR) | O_DIRECT | O_CLOEXEC);
	return &f->medium;
}
