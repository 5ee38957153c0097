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
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	PAGE = 4096,
	ASKED_MAX = 64,
	SYS_cachestat_ = 451 /* the same on all architectures; newer than our headers */
};

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

void windows_forget(struct windows *ws, int fd)
{
	for (size_t i = 0; ws->slots && i < ws->count; i++) {
		struct window *w = &ws->slots[i];

		if (w->fd != fd || w->uses > 0)
			continue;
		unmap(w);
		w->fd = -1;
		w->asked = 0;
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

static void doubt(struct windows *ws, uint64_t until)
{
	ws->doubt_until = MAX_OF(ws->doubt_until, until);
}

/* Once in a while: did a look through a window wait for the disk? */
static bool in_doubt(struct windows *ws, uint64_t now)
{
	long faults;

	if (now - ws->counted < WINDOWS_LIFE_MS && ws->counted)
		return now < ws->doubt_until;
	faults = major_faults();
	if (ws->counted && faults != ws->faults)
		doubt(ws, now + WINDOWS_FAULT_MS);
	ws->faults = faults;
	ws->counted = now;
	return now < ws->doubt_until;
}

static struct window *slot_of(struct windows *ws, uint64_t number)
{
	return &ws->slots[number & (ws->count - 1)];
}

static bool is_at(const struct window *w, int fd, uint64_t number)
{
	return w->fd == fd && w->number == number;
}

void windows_cold(struct windows *ws, int fd, uint64_t offset, uint64_t now)
{
	uint64_t number = offset / WINDOWS_BYTES;

	doubt(ws, now + WINDOWS_COLD_MS);
	if (ws->slots && is_at(slot_of(ws, number), fd, number))
		slot_of(ws, number)->known = false;
}

/* The place of a window; NULL: another one has it and is asked for more often. */
static struct window *place(struct windows *ws, int fd, uint64_t number)
{
	struct window *w = slot_of(ws, number);

	if (is_at(w, fd, number))
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

static uint64_t pages_of(const struct window_range *r)
{
	return (r->offset + r->length - 1) / PAGE - r->offset / PAGE + 1;
}

/* cachestat(2), Linux 6.5: are its pages still there? It is a third of the price of a read call. */
static bool still_cached(const struct window_range *r)
{
	struct {
		uint64_t offset, length;
	} range = {r->offset, r->length};
	struct {
		uint64_t cached, dirty, writeback, evicted, recently_evicted;
	} found;

	return syscall(SYS_cachestat_, r->fd, &range, &found, 0) == 0 &&
		found.cached >= pages_of(r);
}

/* Of a reply of several pages a part may have left when one of them turns out to be gone. */
static bool must_ask(struct windows *ws, const struct window_range *r, uint64_t now)
{
	return in_doubt(ws, now) || pages_of(r) > 1;
}

const uint8_t *windows_find(
	struct windows *ws, const struct window_range *r, uint64_t now, struct window **ret)
{
	uint64_t number = r->offset / WINDOWS_BYTES, inside = r->offset % WINDOWS_BYTES;
	struct window *w;

	if (ws->count == 0 || r->length == 0 || inside + r->length > WINDOWS_BYTES)
		return NULL;
	if (!ws->slots)
		ws->slots = calloc(ws->count, sizeof(*ws->slots));
	w = ws->slots ? place(ws, r->fd, number) : NULL;
	if (!w || !is_known(w, r, now) || !all_there(w, inside, r->length) ||
		(must_ask(ws, r, now) && !still_cached(r)))
		return NULL;
	w->uses++;
	*ret = w;
	return w->base + inside;
}

void windows_put(struct window *w)
{
	w->uses--;
}

uint64_t windows_beyond(const struct window *w, const uint8_t *at, size_t length)
{
	uint64_t end = w->number * WINDOWS_BYTES + (uint64_t)(at - w->base) + length;
	struct stat st;

	if (fstat(w->fd, &st) < 0)
		return length;
	if (!S_ISREG(st.st_mode) || end <= (uint64_t)st.st_size)
		return 0;
	return end - (uint64_t)st.st_size;
}

bool windows_copy(void *to, const uint8_t *at, size_t length)
{
	struct iovec local = {to, length};
	struct iovec remote = {(void *)(uintptr_t)at, length};

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)length;
}

/* (madvise with MADV_POPULATE_READ would be the call for this, but on Linux 6.1 it spins for ever
 * when a page cannot be read.) */
bool windows_readable(const uint8_t *at, size_t length)
{
	uint8_t scratch[4 * PAGE];

	while (length > 0) {
		size_t part = MIN_OF(length, sizeof(scratch));

		if (!windows_copy(scratch, at, part))
			return false;
		at += part;
		length -= part;
	}
	return true;
}

bool windows_allowed(int fd)
{
	struct stat st;
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return (fstat(fd, &st) == 0 && st.st_uid == geteuid()) ||
		faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
}
