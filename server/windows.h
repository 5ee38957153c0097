/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Windows into files: parts of an image mapped into memory, so that small reads of cached blocks
 * go from the page cache to the socket with one copy and no read call.
 *
 * Nobody but system calls looks through a window. There, a page that cannot be had (media error,
 * image truncated) is EFAULT, never SIGBUS; in our own code it would be. So addresses given here
 * may be handed to sendmsg(2) and the like, and must not be dereferenced.
 *
 * A page that is not in memory would be read in by the system call, and the lane would wait for the
 * disk. Therefore a window knows which of its pages are in memory (mincore(2)), and looks again
 * after WINDOWS_LIFE_MS. That is good enough while all reads of the lane find their pages. When one
 * did not lately (windows_cold()), or a look through a window had to wait all the same (major page
 * faults), pages come and go, and each is asked for just before it is used.
 *
 * One `struct windows` belongs to one lane. Windows in use number at most `count`; one that is
 * asked for more often takes the place of one that is asked for less.
 */
#ifndef SERVER_WINDOWS_H
#define SERVER_WINDOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	WINDOWS_BYTES = 2 * 1024 * 1024, /* of one window, and its alignment in the file */
	WINDOWS_PAGES = WINDOWS_BYTES / 4096,
	WINDOWS_MAX = 4096, /* per lane: 8 GiB in sight, 16 MiB of page tables */
	WINDOWS_WORTH = 8,  /* requests for which it pays to ask which pages are there */
	WINDOWS_LIFE_MS = 1000,
	WINDOWS_COLD_MS = 10 * 1000,  /* doubt after a read of pages that were not there */
	WINDOWS_FAULT_MS = 60 * 1000, /* and after a major page fault */
};

struct window {
	int fd;
	uint64_t number;     /* its place in the file, in WINDOWS_BYTES */
	uint8_t *base;       /* NULL = not mapped */
	unsigned uses;       /* replies that still need it */
	unsigned asked;      /* requests since the last look, or since it has this place */
	bool known;          /* `pages` were asked for */
	uint64_t looked;     /* ms, when */
	unsigned generation; /* of the storage, then */
	uint64_t pages[WINDOWS_PAGES / 64];
};

struct windows {
	struct window *slots;
	size_t count;
	uint64_t counted;     /* ms, when major faults were counted last */
	long faults;          /* of this thread, then */
	uint64_t doubt_until; /* ms */
};

/* Nothing is allocated before the first use. COUNT must be a power of two. */
void windows_init(struct windows *ws, size_t count);
/* Unmaps what no reply needs any more. */
void windows_trim(struct windows *ws);
void windows_done(struct windows *ws);

struct window_range {
	int fd;
	uint64_t offset;
	size_t length;
	bool eager;          /* a read call would be worse than a look */
	unsigned generation; /* changes when blocks were discarded: they must not come back by a
				read */
};

/*
 * The address of RANGE if all of it is in memory as far as is known; then *ret must be given back.
 * NULL: use a read call. NOW in ms.
 */
const uint8_t *windows_find(
	struct windows *ws, const struct window_range *range, uint64_t now, struct window **ret);
void windows_put(struct window *w);

/* FD is about to be closed, and its number may come to mean another file. */
void windows_forget(struct windows *ws, int fd);

/* A read of FD at OFFSET has to wait for the disk. */
void windows_cold(struct windows *ws, int fd, uint64_t offset, uint64_t now);

/* How many of the bytes at AT are behind the end of the file as it is now: zeros, or nothing. */
uint64_t windows_beyond(const struct window *w, const uint8_t *at, size_t length);

/* Copies what is seen at AT; false if a page cannot be had. */
bool windows_copy(void *to, const uint8_t *at, size_t length);

/* Can the pages of [at, at + length) be had, waiting for the disk if need be? At the place of an
 * EFAULT. */
bool windows_readable(const uint8_t *at, size_t length);

/* May this process ask which pages of FD are in memory? Else the kernel says "all" (mincore(2)). */
bool windows_allowed(int fd);

#endif
