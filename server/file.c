/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The plain storage: an image file or a block device, byte for byte. One fd for all lanes, only
 * positioned calls on it. Buffered I/O, so every byte offset works whatever the sector size is.
 *
 * A failed fdatasync is remembered: the kernel reports a lost write once and then forgets it, but
 * a client must not be told by a later FLUSH that its data is safe. It reports it once to each open
 * file, so flushing has an open file of its own: a failed FUA write (RWF_DSYNC) on the other one
 * does not swallow the news.
 */
#include "storage.h"

#include "engine.h"
#include "nbd.h"
#include "util.h"
#include "windows.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>

enum { ZERO_CHUNK = 1024 * 1024, ADVISE_MAX = 64 * 1024 * 1024 };

struct file {
	struct storage storage;
	int fd;
	int flush_fd; /* the same file opened again, or `fd` if that was not possible */
	bool block_device;
	unsigned unit; /* device: logical sector, else 1; alignment of fallocate and BLKDISCARD */
	unsigned read_flags; /* IO_INLINE or IO_MEMORY, see engine.h */
	unsigned write_flags;
	const uint8_t *map; /* of all of it, for mincore(2); never looked at, so it costs nothing */
	_Atomic unsigned blocking; /* device: zero and discard calls under way */
	_Atomic int lost;          /* errno of the first failed fdatasync, 0 = none */
};

static struct file *file_of(struct storage *st)
{
	return container_of(st, struct file, storage);
}

static size_t file_map(struct storage *st, bool for_write, uint64_t offset, uint64_t length,
	struct piece *pieces, size_t max)
{
	struct file *f = file_of(st);
	unsigned flags = for_write ? f->write_flags : f->read_flags;

	(void)max;
	pieces[0] = (struct piece){.kind = PIECE_DATA,
		.fd = f->fd,
		.io_flags = f->blocking ? flags | IO_BLOCKED : flags,
		.offset = offset,
		.probe = f->map ? f->map + offset : NULL,
		.length = length};
	return 1;
}

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
static void begin_blocking(struct file *f)
{
	f->blocking += f->block_device;
}

static void end_blocking(struct file *f)
{
	f->blocking -= f->block_device;
}

static int file_zero(struct storage *st, uint64_t offset, uint64_t length, unsigned flags)
{
	struct file *f = file_of(st);
	int ret;

	begin_blocking(f);
	ret = zero_range(f, offset, length, flags);
	end_blocking(f);
	return ret;
}

/* Inwards to whole sectors: what lies outside the range must not change. */
static int file_discard(struct storage *st, uint64_t offset, uint64_t length)
{
	struct file *f = file_of(st);
	uint64_t start = round_up(offset, f->unit), end = round_down(offset + length, f->unit);
	uint64_t range[2] = {start, end - start};
	int ret;

	if (start >= end)
		return 0;
	begin_blocking(f);
	ret = do_fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start, end - start);
	if (ret < 0 && f->block_device)
		ret = ioctl(f->fd, BLKDISCARD, range) < 0 ? -errno : 0;
	end_blocking(f);
	return ret == -EOPNOTSUPP || ret == -ENODEV || ret == -ENOSYS || ret == -EINVAL ? 0 : ret;
}

static int file_flush(struct storage *st)
{
	struct file *f = file_of(st);
	int none = 0, ret;

	if (f->lost)
		return -f->lost;
	do
		ret = fdatasync(f->flush_fd) < 0 ? -errno : 0;
	while (ret == -EINTR);
	if (ret < 0)
		atomic_compare_exchange_strong(&f->lost, &none, -ret);
	return ret;
}

static int file_cache(struct storage *st, uint64_t offset, uint64_t length)
{
	struct file *f = file_of(st);
	int r = posix_fadvise(f->fd, (off_t)offset, (off_t)MIN_OF(length, (uint64_t)ADVISE_MAX),
		POSIX_FADV_WILLNEED);

	return r == EINVAL || r == ESPIPE ? 0 : -r;
}

/*
 * The end of the run that begins at OFFSET. Devices and file systems that cannot tell are all
 * data; a hole to the end of the file gives ENXIO.
 */
static uint64_t run_end(const struct file *f, uint64_t offset, uint64_t end, bool *ret_hole)
{
	off_t data = lseek(f->fd, (off_t)offset, SEEK_DATA), hole;

	*ret_hole = false;
	if (data < 0) {
		*ret_hole = errno == ENXIO;
		return end;
	}
	if ((uint64_t)data > offset) {
		*ret_hole = true;
		return MIN_OF((uint64_t)data, end);
	}
	hole = lseek(f->fd, (off_t)offset, SEEK_HOLE);
	return hole < 0 || (uint64_t)hole <= offset ? end : MIN_OF((uint64_t)hole, end);
}

static int file_extents(
	struct storage *st, uint64_t offset, uint64_t length, struct extent *out, size_t max)
{
	struct file *f = file_of(st);
	uint64_t end = offset + length;
	int n = 0;

	while (offset < end && (size_t)n < max) {
		bool hole = false;
		uint64_t to = f->block_device ? end : run_end(f, offset, end, &hole);
		uint32_t state = hole ? NBD_STATE_HOLE | NBD_STATE_ZERO : 0;

		if (n > 0 && out[n - 1].state == state)
			out[n - 1].length += to - offset;
		else
			out[n++] = (struct extent){to - offset, state};
		offset = to;
	}
	return n;
}

static void file_close(struct storage *st)
{
	struct file *f = file_of(st);

	if (f->map)
		munmap((void *)(uintptr_t)f->map, f->storage.facts.size);
	if (f->flush_fd != f->fd)
		close(f->flush_fd);
	close(f->fd);
	free(f);
}

static const struct storage_ops file_ops = {
	.kind = "target",
	.map = file_map,
	.discard = file_discard,
	.zero = file_zero,
	.flush = file_flush,
	.cache = file_cache,
	.extents = file_extents,
	.close = file_close,
};

/* Does the file know RWF_NOWAIT? Asked with a read of one byte that exists. */
static bool knows_nowait(int fd)
{
	char c;
	struct iovec iov = {&c, 1};

	return preadv2(fd, &iov, 1, 0, RWF_NOWAIT) >= 0 || errno == EAGAIN;
}

static void find_flags(struct file *f)
{
	struct statfs fs;
	void *map;

	if (!f->block_device && fstatfs(f->fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC) {
		f->read_flags = f->write_flags = IO_MEMORY;
	} else if (knows_nowait(f->fd)) {
		f->read_flags = f->write_flags = IO_INLINE;
	}
	if (!windows_allowed(f->fd))
		return;
	f->read_flags |= IO_WINDOW;
	map = mmap(NULL, f->storage.facts.size, PROT_READ, MAP_SHARED, f->fd, 0);
	f->map = map == MAP_FAILED ? NULL : map;
}

static int open_again(int fd)
{
	char path[40];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDONLY | O_CLOEXEC);
	return again < 0 ? fd : again;
}

static int find_kind(struct file *f)
{
	struct stat st;
	int sector = 0;

	if (fstat(f->fd, &st) < 0)
		return -errno;
	f->block_device = S_ISBLK(st.st_mode);
	f->unit = 1;
	if (f->block_device && ioctl(f->fd, BLKSSZGET, &sector) == 0 && sector > 0)
		f->unit = (unsigned)sector;
	find_flags(f);
	return 0;
}

struct storage *file_open(const char *path, bool readonly, struct err *err)
{
	struct file *f = calloc(1, sizeof(*f));
	int ret = 0;

	if (!f) {
		err_sys(err, ENOMEM, "%s", path);
		return NULL;
	}
	f->storage.ops = &file_ops;
	f->storage.direct = true;
	f->fd = export_open(path, &readonly, &f->storage.facts, err);
	if (f->fd >= 0)
		ret = find_kind(f);
	if (ret < 0)
		err_sys(err, -ret, "%s", path);
	if (f->fd >= 0 && ret == 0) {
		f->flush_fd = open_again(f->fd);
		return &f->storage;
	}
	if (f->fd >= 0)
		close(f->fd);
	free(f);
	return NULL;
}
