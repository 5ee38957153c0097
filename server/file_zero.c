/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The plain storage: zeroing and discarding ranges, by the file system or device if it can. */
#include "file.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

enum { ZERO_CHUNK = 1024 * 1024 };

/* Writes zeros the slow way. */
static int write_zeros(int fd, uint64_t offset, uint64_t length)
{
	static const uint8_t zeros[ZERO_CHUNK];

	while (length > 0) {
		ssize_t n = pwrite(fd, zeros, MIN_OF(length, (uint64_t)ZERO_CHUNK), (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		offset += (uint64_t)n;
		length -= (uint64_t)n;
	}
	return 0;
}

static int do_fallocate(int fd, int mode, uint64_t offset, uint64_t length)
{
	int r;

	do
		r = fallocate(fd, mode, (off_t)offset, (off_t)length);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

/*
 * Files: a hole if one may be made, else zeroed extents that stay allocated. Devices: the kernel
 * maps the same modes to "write zeroes, may unmap" (no fallback) and "write zeroes, keep".
 */
static int zero_fast(const struct file *f, uint64_t offset, uint64_t length, unsigned flags)
{
	int ret = -EOPNOTSUPP;

	if (!(flags & STORAGE_NO_HOLE))
		ret = do_fallocate(
			f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
	if (ret < 0 && !(f->block_device && (flags & STORAGE_FAST_ZERO)))
		ret = do_fallocate(
			f->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, length);
	return ret == -ENODEV || ret == -ENOSYS || ret == -EINVAL ? -EOPNOTSUPP : ret;
}

static int zero_range(struct file *f, uint64_t offset, uint64_t length, unsigned flags)
{
	uint64_t start = round_up(offset, f->unit), end = round_down(offset + length, f->unit);
	int ret;

	if (start >= end ||
		(flags & STORAGE_FAST_ZERO && (start != offset || end != offset + length)))
		return flags & STORAGE_FAST_ZERO ? -EOPNOTSUPP : write_zeros(f->fd, offset, length);
	ret = zero_fast(f, start, end - start, flags);
	if (ret == -EOPNOTSUPP && !(flags & STORAGE_FAST_ZERO))
		ret = write_zeros(f->fd, start, end - start);
	if (ret == 0)
		ret = write_zeros(f->fd, offset, start - offset);
	if (ret == 0)
		ret = write_zeros(f->fd, end, offset + length - end);
	return ret;
}

/* While it zeroes or discards blocks of a device, the kernel holds a lock that read and write calls
 * on it need, even those that shall not wait. */
static void begin_discard(struct file *f)
{
	f->storage.discarding++;
	f->blocking += f->block_device;
}

static void end_discard(struct file *f)
{
	f->blocking -= f->block_device;
	f->storage.generation++;
	f->storage.discarding--;
}

int file_zero(struct storage *st, uint64_t offset, uint64_t length, unsigned flags)
{
	struct file *f = file_of(st);
	int ret;

	begin_discard(f);
	ret = zero_range(f, offset, length, flags);
	end_discard(f);
	return ret;
}

/* Inwards to whole sectors: what lies outside the range must not change. */
int file_discard(struct storage *st, uint64_t offset, uint64_t length)
{
	struct file *f = file_of(st);
	uint64_t start = round_up(offset, f->unit), end = round_down(offset + length, f->unit);
	uint64_t range[2] = {start, end - start};
	int ret;

	if (start >= end)
		return 0;
	begin_discard(f);
	ret = do_fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start, end - start);
	if (ret < 0 && f->block_device)
		ret = ioctl(f->fd, BLKDISCARD, range) < 0 ? -errno : 0;
	end_discard(f);
	return ret == -EOPNOTSUPP || ret == -ENODEV || ret == -ENOSYS || ret == -EINVAL ? 0 : ret;
}
