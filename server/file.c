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
#include "file.h"

#include "engine.h"
#include "nbd.h"
#include "pool.h"
#include "windows.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { ADVISE_MAX = 64 * 1024 * 1024 };

static size_t file_map(struct storage *st, bool for_write, uint64_t offset, uint64_t length,
	struct piece *pieces, size_t max)
{
	struct file *f = file_of(st);
	unsigned flags = for_write ? f->write_flags : f->read_flags;
	const uint8_t *seen = atomic_load_explicit(&f->map, memory_order_relaxed);

	(void)max;
	if (f->direct_fd >= 0 && (offset | length) % f->direct_unit == 0) {
		pieces[0] = (struct piece){.kind = PIECE_DATA,
			.fd = f->direct_fd,
			.io_flags = f->blocking ? IO_BLOCKED : 0,
			.offset = offset,
			.length = length,
			.owner = st};
		return 1;
	}
	pieces[0] = (struct piece){.kind = PIECE_DATA,
		.fd = f->fd,
		.io_flags = f->blocking ? flags | IO_BLOCKED : flags,
		.offset = offset,
		.probe = seen ? seen + offset : NULL,
		.length = length,
		.owner = st};
	return 1;
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

static int file_look(struct storage *st, uint64_t *ret_size)
{
	struct file *f = file_of(st);
	struct stat s;

	if (f->block_device)
		return ioctl(f->fd, BLKGETSIZE64, ret_size) < 0 ? -errno : 0;
	if (fstat(f->fd, &s) < 0)
		return -errno;
	*ret_size = (uint64_t)s.st_size;
	return 0;
}

static void unmap(const uint8_t *map, uint64_t length)
{
	if (map)
		munmap((void *)(uintptr_t)map, length);
}

static void map_all(struct file *f, uint64_t size)
{
	void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, f->fd, 0);

	f->map_length = size;
	f->map = map == MAP_FAILED ? NULL : map;
}

/* A shorter one keeps its map: nothing is wrong with asking about pages behind the end. */
static void file_resize(struct storage *st, uint64_t size)
{
	struct file *f = file_of(st);

	if (!f->map || size <= f->map_length)
		return;
	unmap(f->old_map, f->old_length);
	f->old_map = f->map;
	f->old_length = f->map_length;
	map_all(f, size);
}

static void file_close(struct storage *st)
{
	struct file *f = file_of(st);

	unmap(f->map, f->map_length);
	unmap(f->old_map, f->old_length);
	if (f->flush_fd != f->fd)
		fd_close(&f->flush_fd);
	fd_close(&f->direct_fd);
	fd_close(&f->fd);
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
	.look = file_look,
	.resize = file_resize,
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

	if (!f->block_device && fstatfs(f->fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC) {
		f->read_flags = f->write_flags = IO_MEMORY;
	} else if (knows_nowait(f->fd)) {
		f->read_flags = f->write_flags = IO_INLINE;
	}
	if (!windows_allowed(f->fd))
		return;
	f->read_flags |= IO_WINDOW;
	map_all(f, f->storage.facts.size);
}

/* The same file as an open file of its own; -errno. */
static int open_again(int fd, int flags)
{
	char path[40];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, flags | O_CLOEXEC);
	return again < 0 ? -errno : again;
}

/* What offset and length of direct requests must be aligned to; our buffers are to a page. */
static unsigned direct_unit(const struct file *f)
{
	struct statx sx;

	if (f->block_device)
		return f->unit;
	if (statx(f->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) == 0 &&
		(sx.stx_mask & STATX_DIOALIGN) && sx.stx_dio_offset_align > 0 &&
		sx.stx_dio_mem_align <= POOL_PAGE)
		return sx.stx_dio_offset_align;
	return POOL_PAGE; /* before Linux 6.1 it cannot be asked */
}

/* Requests that are not aligned go through the page cache; the kernel keeps the two coherent. */
static int open_direct(struct file *f, bool readonly)
{
	f->direct_fd = open_again(f->fd, O_DIRECT | (readonly ? O_RDONLY : O_RDWR));
	f->direct_unit = direct_unit(f);
	f->storage.in_place = false;
	return MIN_OF(f->direct_fd, 0);
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

static int open_all(struct file *f, const char *path, unsigned how, struct err *err)
{
	bool readonly = how & FILE_READONLY;
	int ret;

	f->fd = export_open(path, &readonly, &f->storage.facts, err);
	if (f->fd < 0)
		return f->fd;
	ret = find_kind(f);
	if (ret < 0)
		return err_sys(err, -ret, "%s", path);
	f->flush_fd = open_again(f->fd, O_RDONLY);
	if (f->flush_fd < 0)
		f->flush_fd = f->fd;
	ret = how & FILE_DIRECT ? open_direct(f, readonly) : 0;
	if (ret < 0)
		return err_sys(err, -ret, "%s: --direct: not possible on this file system", path);
	return 0;
}

struct storage *file_open(const char *path, unsigned how, struct err *err)
{
	struct file *f = calloc(1, sizeof(*f));

	if (!f) {
		err_sys(err, ENOMEM, "%s", path);
		return NULL;
	}
	f->storage.ops = &file_ops;
	f->storage.in_place = true;
	f->fd = f->flush_fd = f->direct_fd = -1;
	if (open_all(f, path, how, err) == 0)
		return &f->storage;
	file_close(&f->storage);
	return NULL;
}
