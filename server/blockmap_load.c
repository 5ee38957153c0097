/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading bits from a file of a block map, while no other thread knows the map. Holes are skipped
 * and pages of zeros touch no memory: a map of terabytes with few bits opens at once and stays
 * small.
 */
#include "blockmap_disk.h"

#include "fsutil.h"
#include "util.h"

#include <errno.h>
#include <string.h>

enum { CHUNK = 16 * BLOCKMAP_PAGE }; /* read at once */

static bool is_zero(const uint8_t *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static void add_page(
	struct blockmap *m, struct blockmap_load to, uint64_t page, const uint8_t *p, size_t n)
{
	size_t at = (size_t)page * BLOCKMAP_PAGE;

	if (is_zero(p, n))
		return;
	if (to.written)
		bitmap_add(&m->written, at, p, n);
	if (!to.present)
		return;
	m->count += bitmap_add(&m->present, at, p, n);
	if (bitmap_add(&m->staged, at, p, n) > 0 && to.unproven)
		bitmap_set(&m->dirty, page, 1);
}

/* One chunk of pages; how many bytes there were, 0 at the end of the file, or -errno. */
static ssize_t load_chunk(struct blockmap *m, int fd, struct blockmap_load to, uint64_t at)
{
	uint8_t bytes[CHUNK];
	size_t want = (size_t)MIN_OF(m->present.bytes - at, (uint64_t)CHUNK), got;
	ssize_t n = fs_read_at(fd, bytes, want, (off_t)at);

	if (n < 0)
		return n;
	got = (size_t)n;
	for (size_t i = 0; i < got; i += BLOCKMAP_PAGE)
		add_page(m, to, (at + i) / BLOCKMAP_PAGE, bytes + i,
			MIN_OF(got - i, (size_t)BLOCKMAP_PAGE));
	return n;
}

int blockmap_load(struct blockmap *m, int fd, struct blockmap_load to)
{
	uint64_t at = 0, hole = 0;
	ssize_t n;

	for (; at < m->present.bytes; at += (uint64_t)n) {
		if (at >= hole) {
			off_t data = lseek(fd, (off_t)at, SEEK_DATA);

			if (data < 0)
				return errno == ENXIO ? 0 : -errno;
			hole = (uint64_t)MAX_OF(lseek(fd, data, SEEK_HOLE), data + 1);
			at = MAX_OF(at, round_down((uint64_t)data, BLOCKMAP_PAGE));
		}
		n = at < m->present.bytes ? load_chunk(m, fd, to, at) : 0;
		if (n <= 0)
			return (int)n;
	}
	return 0;
}
