/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files of a block map, shared by blockmap*.c alone; others see blockmap.h. */
#ifndef SERVER_BLOCKMAP_DISK_H
#define SERVER_BLOCKMAP_DISK_H

#include <limits.h>
#include <sys/types.h>

#include "blockmap.h"

enum {
	BLOCKMAP_PAGE = 4096, /* bytes: what is read, written and counted as dirty at once */
	BLOCKMAP_PAGE_BITS = BLOCKMAP_PAGE * 8,
	BLOCKMAP_ROUND = 1024, /* pages in a round of a flush */
};

/* Pages of a bitmap of BITS bits. */
static inline uint64_t blockmap_pages(uint64_t bits)
{
	return bits / BLOCKMAP_PAGE_BITS + (bits % BLOCKMAP_PAGE_BITS != 0);
}

/* The page's length in files: the last one is shorter. */
static inline size_t blockmap_page_length(const struct bitmap *b, uint64_t page)
{
	size_t left = b->bytes - (size_t)(page * BLOCKMAP_PAGE);

	return left < BLOCKMAP_PAGE ? left : BLOCKMAP_PAGE;
}

/* blockmap.c: pwrites all of it, by a call that reads BYTES once and only in the kernel. */
int blockmap_write(int fd, const uint8_t *bytes, size_t length, uint64_t offset);

/* Who learns of bits that are loaded. */
struct blockmap_load {
	bool present;
	bool written;
	bool unproven; /* what is new in `present` is dirty */
};

/* blockmap_load.c: all bits of a file, which may be shorter or longer than ours. 0 or -errno. */
int blockmap_load(struct blockmap *m, int fd, struct blockmap_load to);

/* blockmap_info.c: PATH.info. */

/* PATH SUFFIX; 0 or -ENAMETOOLONG. */
int blockmap_sibling(const char *path, const char *suffix, char out[PATH_MAX]);
/* The object, its members of the right types; NULL in *ret if there is no such file. */
int blockmap_info_read(const char *path, json_t **ret, struct err *err);
/* Is it of this layer? */
int blockmap_info_check(
	const struct blockmap *m, const struct blockmap_wish *wish, json_t *info, struct err *err);
bool blockmap_info_clean(json_t *info);
bool blockmap_info_same_boot(const struct blockmap *m, json_t *info);
/* Replaces it; `flushing` held, or no other thread there yet. */
int blockmap_info_write(const struct blockmap *m, bool clean, struct err *err);
/* "" if it cannot be found out. */
void blockmap_info_boot(char out[40]);

#endif
