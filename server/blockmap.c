/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A block map's way from "the data is in place" to "everybody may read it"; see blockmap.h. Called
 * by lanes, which never wait here, and by threads. Flushing is in blockmap_flush.c, the files in
 * blockmap_disk.c and blockmap_info.c.
 *
 * Staging sets the bit, then marks its page dirty; publishing comes later. So for whoever sees a
 * bit in `present`, either its page is dirty still or a flush has taken a copy of the page with it.
 */
#include "blockmap.h"

#include "blockmap_disk.h"
#include "util.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

int blockmap_init(struct blockmap *m, uint64_t size, unsigned block)
{
	int ret;

	assert(is_power_of_2(block));
	*m = (struct blockmap){
		.size = size, .block = block, .fd = -1, .live_fd = -1, .data_fd = -1};
	pthread_mutex_init(&m->flushing, NULL);
	m->blocks = size / block + (size % block != 0);
	ret = bitmap_init(&m->present, m->blocks);
	if (ret == 0)
		ret = bitmap_init(&m->written, m->blocks);
	if (ret < 0)
		blockmap_done(m);
	return ret;
}

void blockmap_done(struct blockmap *m)
{
	bitmap_done(&m->present);
	bitmap_done(&m->written);
	bitmap_done(&m->staged);
	bitmap_done(&m->dirty);
	bitmap_done(&m->taken);
	if (m->path) {
		fd_close(&m->live_fd);
		fd_close(&m->fd); /* the lock ends with it */
	}
	free(m->path);
	free(m->round);
	json_decref(m->identity);
	m->path = NULL;
	m->round = NULL;
	m->identity = NULL;
	m->persistent = false;
}

int blockmap_write(int fd, const uint8_t *bytes, size_t length, uint64_t offset)
{
	while (length > 0) {
		struct iovec iov = {(void *)(uintptr_t)bytes, length};
		ssize_t n = pwritev2(fd, &iov, 1, (off_t)offset, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		bytes += n;
		offset += (uint64_t)n;
		length -= (size_t)n;
	}
	return 0;
}

/* By pages from the one FIRST is in; COUNT > 0. */
static uint64_t page_range(uint64_t first, uint64_t count, uint64_t *ret_count)
{
	*ret_count = (first + count - 1) / BLOCKMAP_PAGE_BITS - first / BLOCKMAP_PAGE_BITS + 1;
	return first / BLOCKMAP_PAGE_BITS;
}

bool blockmap_stage(struct blockmap *m, uint64_t first, uint64_t count, struct blockmap_live *ret)
{
	uint64_t page, pages, byte = first / 8;

	if (!m->persistent || bitmap_all(&m->present, first, count))
		return false;
	bitmap_set(&m->staged, first, count);
	page = page_range(first, count, &pages);
	/* Even if all was staged before: who did that may not have come to this line yet. */
	bitmap_set(&m->dirty, page, pages);
	*ret = (struct blockmap_live){.fd = m->live_fd,
		.bytes = (const uint8_t *)m->staged.words + byte,
		.length = (size_t)((first + count - 1) / 8 - byte + 1),
		.offset = byte};
	return true;
}

void blockmap_publish(struct blockmap *m, uint64_t first, uint64_t count)
{
	uint64_t added = bitmap_set(&m->present, first, count);

	if (added > 0)
		m->count += added;
}

int blockmap_set(struct blockmap *m, uint64_t first, uint64_t count)
{
	struct blockmap_live live;
	int ret = 0;

	if (blockmap_stage(m, first, count, &live))
		ret = blockmap_write(live.fd, live.bytes, live.length, live.offset);
	if (ret == 0)
		blockmap_publish(m, first, count);
	return ret;
}

void blockmap_wrote(struct blockmap *m, uint64_t first, uint64_t count)
{
	bitmap_set(&m->written, first, count);
}

static bool none(const struct bitmap *b, uint64_t first, uint64_t count)
{
	bool value;

	return bitmap_run(b, first, count, &value) == count && !value;
}

/*
 * A flush takes a page first and cleans it then, so who finds it clean finds it taken, or the flush
 * is over; and if that failed, `failures` is another number.
 */
bool blockmap_proven(struct blockmap *m, uint64_t first, uint64_t count)
{
	uint64_t page, pages, failures = m->failures;

	if (!m->persistent || count == 0)
		return true;
	page = page_range(first, count, &pages);
	return bitmap_all(&m->present, first, count) && none(&m->dirty, page, pages) &&
		none(&m->taken, page, pages) && m->failures == failures;
}
