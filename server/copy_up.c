/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copying blocks in a thread, run by run of data and holes. */
#include "copy_up.h"

#include "nbd.h"
#include "sparse.h"
#include "util.h"

#include <errno.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

enum { CHUNK = 64 * 1024, RUNS = 16 };

static int copy_data(struct storage *from, struct storage *to, uint64_t offset, uint64_t length)
{
	uint8_t buf[CHUNK] __attribute__((aligned(4096)));
	int ret = 0;

	while (ret == 0 && length > 0) {
		size_t part = (size_t)MIN_OF(length, (uint64_t)CHUNK - offset % CHUNK);

		ret = sparse_read(from, offset, buf, part);
		if (ret == 0)
			ret = sparse_write(to, offset, buf, part);
		offset += part;
		length -= part;
	}
	return ret;
}

static int copy_run(
	struct storage *from, struct storage *to, uint64_t offset, const struct extent *run)
{
	if (run->state & NBD_STATE_ZERO)
		return to->ops->zero(to, offset, run->length, 0);
	return copy_data(from, to, offset, run->length);
}

static int copy_blocks(struct storage *from, struct storage *to, uint64_t offset, uint64_t length)
{
	uint64_t end = offset + length;
	struct extent runs[RUNS];

	while (offset < end) {
		int n = from->ops->extents(from, offset, end - offset, runs, RUNS);

		if (n <= 0)
			return n < 0 ? n : -EIO;
		for (int i = 0; i < n; i++) {
			int ret = copy_run(from, to, offset, &runs[i]);

			if (ret < 0)
				return ret;
			offset += runs[i].length;
		}
	}
	return 0;
}

/*
 * Clones on XFS changed when the image was written to afterwards, on Linux 6.1.0-56 of Debian 12 in
 * 8 of 22 tries, without any part of ours; below a layer that would be the base. 6.18 is the oldest
 * kernel that was tried long enough to be trusted.
 */
static bool may_clone(int fd)
{
	unsigned major = 0, minor = 0;
	struct utsname kernel;
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	if (fs.f_type != XFS_SUPER_MAGIC)
		return true;
	return uname(&kernel) == 0 && sscanf(kernel.release, "%u.%u", &major, &minor) == 2 &&
		(major > 6 || (major == 6 && minor >= 18));
}

int copy_up_clone(struct storage *from, struct storage *to, uint64_t offset, uint64_t length)
{
	struct file_clone_range range = {
		.src_offset = offset, .src_length = length, .dest_offset = offset};
	struct piece in, out;

	from->ops->map(from, false, offset, length, &in, 1);
	to->ops->map(to, true, offset, length, &out, 1);
	if (in.kind != PIECE_DATA || in.length != length || out.length != length ||
		!may_clone(out.fd))
		return -EOPNOTSUPP;
	range.src_fd = in.fd;
	return ioctl(out.fd, FICLONERANGE, &range) < 0 ? -errno : 0;
}

static int run(struct io *io)
{
	struct copy_up *c = container_of(io, struct copy_up, io);
	struct layer *l = c->fill.layer;
	uint64_t offset = layer_offset(l, c->fill.claim.first);
	uint64_t length = layer_length(l, &c->fill.claim);

	if (l->broken) /* since it was queued */
		return -l->broken;
	if (c->clones && *c->clones) {
		if (copy_up_clone(c->from, l->top, offset, length) == 0)
			return 0;
		*c->clones = false;
	}
	return copy_blocks(c->from, l->top, offset, length);
}

static void done(struct io *io)
{
	struct copy_up *c = container_of(io, struct copy_up, io);
	int broken = c->fill.layer->broken; /* what was read may be newer than the layer */

	layer_filled(&c->fill, io->result == 0 ? -broken : io->result);
}

void copy_up_start(struct fill *f, struct storage *from, _Atomic bool *clones, struct io_threads *t)
{
	struct copy_up *c = container_of(f, struct copy_up, fill);

	c->from = from;
	c->clones = clones;
	c->io = (struct io){.op = IO_CALL, .call = run, .done = done};
	io_threads_queue(t, NULL, &c->io);
}
