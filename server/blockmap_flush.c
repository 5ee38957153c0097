/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Proving bits; see blockmap.h. In rounds: take dirty pages, copy them, sync the data, only then
 * write the copies to PATH and sync it. Bits that come up after the copy wait for the next round:
 * their data may have missed the sync.
 *
 * A failed sync of the data is final, as the kernel forgets it once told. Failed bits are only
 * written again.
 */
#include "blockmap_disk.h"

#include "util.h"

#include <errno.h>
#include <string.h>

struct round {
	size_t count;
	uint64_t pages[BLOCKMAP_ROUND]; /* numbers, ascending; contents in m->round */
};

static int sync_fd(int fd)
{
	int ret;

	do
		ret = fdatasync(fd) < 0 ? -errno : 0;
	while (ret == -EINTR);
	return ret;
}

/* Dirty pages from FROM on. Each is marked clean before it is copied: who adds a bit meanwhile
 * marks it dirty again. Returns where to go on. */
static uint64_t take(struct blockmap *m, uint64_t from, struct round *r)
{
	for (r->count = 0; r->count < BLOCKMAP_ROUND; r->count++) {
		uint64_t page = bitmap_find(&m->dirty, from, true);

		if (page == m->dirty.bits)
			return page;
		bitmap_set(&m->taken, page, 1);
		bitmap_clear(&m->dirty, page, 1);
		bitmap_save(&m->staged, (size_t)page * BLOCKMAP_PAGE,
			m->round + r->count * BLOCKMAP_PAGE,
			blockmap_page_length(&m->staged, page));
		r->pages[r->count] = page;
		from = page + 1;
	}
	return from;
}

/* How many from number I on are neighbours. */
static size_t neighbours(const struct round *r, size_t i)
{
	size_t n = 1;

	while (i + n < r->count && r->pages[i + n] == r->pages[i] + n)
		n++;
	return n;
}

static int write_round(const struct blockmap *m, const struct round *r)
{
	int ret = 0;

	for (size_t i = 0, n; i < r->count && ret == 0; i += n) {
		uint64_t last;

		n = neighbours(r, i);
		last = r->pages[i] + n - 1;
		ret = blockmap_write(m->fd, m->round + i * BLOCKMAP_PAGE,
			(n - 1) * BLOCKMAP_PAGE + blockmap_page_length(&m->staged, last),
			r->pages[i] * BLOCKMAP_PAGE);
	}
	return ret == 0 && r->count > 0 ? sync_fd(m->fd) : ret;
}

/* From now on what the page cache holds is no witness: who comes after us believes PATH alone. */
static void lose(struct blockmap *m, int code)
{
	m->lost = code;
	m->boot[0] = 0;
	blockmap_info_write(m, false, NULL);
}

static void give_back(struct blockmap *m, const struct round *r, bool failed)
{
	if (failed)
		m->failures++;
	for (size_t i = 0; i < r->count; i++) {
		if (failed)
			bitmap_set(&m->dirty, r->pages[i], 1);
		bitmap_clear(&m->taken, r->pages[i], 1);
	}
}

static int flush_all(struct blockmap *m)
{
	struct round r;
	uint64_t next = 0;
	int ret;

	do {
		next = take(m, next, &r);
		ret = sync_fd(m->data_fd);
		if (ret < 0)
			lose(m, -ret);
		else
			ret = write_round(m, &r);
		give_back(m, &r, ret < 0);
	} while (ret == 0 && r.count == BLOCKMAP_ROUND);
	return ret;
}

int blockmap_flush(struct blockmap *m)
{
	/* Not a plain load: whoever begins after us must see all that we saw. */
	uint64_t before = atomic_fetch_add(&m->begun, 0), number;
	int ret = 0;

	if (!m->persistent)
		return 0;
	pthread_mutex_lock(&m->flushing);
	if (m->lost) {
		ret = -m->lost;
	} else if (m->flushed <= before) {
		number = ++m->begun;
		ret = flush_all(m);
		if (ret == 0)
			m->flushed = number;
	}
	pthread_mutex_unlock(&m->flushing);
	return ret;
}
