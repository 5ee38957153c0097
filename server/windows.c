/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of windows: found by number, one place each, the one asked for more often stays. */
#include "windows.h"

#include "util.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, ASKED_MAX = 64 };

#ifndef MADV_POPULATE_READ /* Linux 5.14 */
#define MADV_POPULATE_READ 22
#endif

void windows_init(struct windows *ws, size_t count)
{
	*ws = (struct windows){.count = count};
}

static void unmap(struct window *w)
{
	if (w->base)
		munmap(w->base, WINDOWS_BYTES);
	w->base = NULL;
	w->known = false;
}

void windows_trim(struct windows *ws)
{
	for (size_t i = 0; ws->slots && i < ws->count; i++) {
		if (ws->slots[i].uses == 0)
			unmap(&ws->slots[i]);
	}
}

void windows_done(struct windows *ws)
{
	windows_trim(ws);
	free(ws->slots);
	ws->slots = NULL;
}

static long major_faults(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) < 0 ? 0 : usage.ru_majflt;
}

/* Once in a while: did a look through a window wait for the disk? */
static bool paused(struct windows *ws, uint64_t now)
{
	long faults;

	if (now - ws->counted < WINDOWS_LIFE_MS && ws->counted)
		return now < ws->pause_until;
	faults = major_faults();
	if (ws->counted && faults != ws->faults)
		ws->pause_until = now + WINDOWS_PAUSE_MS;
	ws->faults = faults;
	ws->counted = now;
	return now < ws->pause_until;
}

/* The place of a window; NULL: another one has it and is asked for more often. */
static struct window *place(struct windows *ws, int fd, uint64_t number)
{
	struct window *w = &ws->slots[number & (ws->count - 1)];

	if (w->fd == fd && w->number == number)
		return w;
	if (w->uses > 0 || w->asked > 0) {
		w->asked -= w->asked > 0;
		return NULL;
	}
	unmap(w);
	w->fd = fd;
	w->number = number;
	return w;
}

static bool map(struct window *w)
{
	void *p;

	if (w->base)
		return true;
	p = mmap(NULL, WINDOWS_BYTES, PROT_READ, MAP_SHARED, w->fd,
		(off_t)(w->number * WINDOWS_BYTES));
	w->base = p == MAP_FAILED ? NULL : p;
	return w->base;
}

static void look(struct window *w, unsigned generation, uint64_t now)
{
	unsigned char there[WINDOWS_PAGES];
	bool told = map(w) && mincore(w->base, WINDOWS_BYTES, there) == 0;

	memset(w->pages, 0, sizeof(w->pages));
	for (unsigned i = 0; told && i < WINDOWS_PAGES; i++)
		w->pages[i / 64] |= (uint64_t)(there[i] & 1) << i % 64;
	w->known = true;
	w->looked = now;
	w->generation = generation;
}

/* Only what is asked for often is worth a look. */
static bool is_known(struct window *w, const struct window_range *r, uint64_t now)
{
	w->asked += w->asked < ASKED_MAX;
	if (w->known && w->generation == r->generation && now - w->looked < WINDOWS_LIFE_MS)
		return true;
	w->known = false;
	if (w->asked < WINDOWS_WORTH && !r->eager)
		return false;
	w->asked /= 2;
	look(w, r->generation, now);
	return true;
}

static bool all_there(const struct window *w, uint64_t offset, size_t length)
{
	unsigned first = (unsigned)(offset / PAGE), last = (unsigned)((offset + length - 1) / PAGE);

	for (unsigned i = first; i <= last; i++) {
		if (!(w->pages[i / 64] >> i % 64 & 1))
			return false;
	}
	return true;
}

/* Where the file ends, at most a millisecond ago. */
static uint64_t file_end(struct windows *ws, int fd, uint64_t now)
{
	struct stat st;

	if (ws->end_fd == fd && ws->end_seen == now)
		return ws->end;
	ws->end_fd = fd;
	ws->end_seen = now;
	if (fstat(fd, &st) < 0)
		return ws->end = 0;
	return ws->end = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : UINT64_MAX;
}

/*
 * The last page of a file has zeros behind the end, and a reply of several pages may be cut in two
 * by the socket, its head sent before a later page turns out to be gone.
 */
static bool ends_before(struct windows *ws, const struct window_range *r, uint64_t now)
{
	return r->offset + r->length > file_end(ws, r->fd, now);
}

const uint8_t *windows_find(
	struct windows *ws, const struct window_range *r, uint64_t now, struct window **ret)
{
	uint64_t number = r->offset / WINDOWS_BYTES, inside = r->offset % WINDOWS_BYTES;
	struct window *w;

	if (ws->count == 0 || r->length == 0 || inside + r->length > WINDOWS_BYTES ||
		paused(ws, now))
		return NULL;
	if (!ws->slots)
		ws->slots = calloc(ws->count, sizeof(*ws->slots));
	w = ws->slots ? place(ws, r->fd, number) : NULL;
	if (!w || !is_known(w, r, now) || !all_there(w, inside, r->length) ||
		ends_before(ws, r, now))
		return NULL;
	w->uses++;
	*ret = w;
	return w->base + inside;
}

void windows_put(struct window *w)
{
	w->uses--;
}

bool windows_readable(const uint8_t *at, size_t length)
{
	uintptr_t first = (uintptr_t)at & ~(uintptr_t)(PAGE - 1);

	return madvise((void *)first, (uintptr_t)at + length - first, MADV_POPULATE_READ) == 0;
}

bool windows_allowed(int fd)
{
	struct stat st;
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return (fstat(fd, &st) == 0 && st.st_uid == geteuid()) ||
		faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
}
