/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The plain storage, shared by file.c and file_zero.c alone; others see storage.h. */
#ifndef SERVER_FILE_H
#define SERVER_FILE_H

#include "storage.h"
#include "util.h"

struct file {
	struct storage storage;
	int fd;
	int direct_fd;        /* with O_DIRECT, for aligned requests; -1 = none */
	unsigned direct_unit; /* bytes, what those must be aligned to */
	int flush_fd;         /* the same file opened again, or `fd` if that was not possible */
	bool block_device;
	unsigned unit; /* device: logical sector, else 1; alignment of fallocate and BLKDISCARD */
	unsigned read_flags; /* IO_INLINE or IO_MEMORY, see engine.h */
	unsigned write_flags;
	/* Of all of it, for mincore(2); never looked at, so it costs nothing. */
	const uint8_t *_Atomic map; /* NULL = none */
	uint64_t map_length;
	/* The one before the last resize(): ios under way may still ask about it. */
	const uint8_t *old_map;
	uint64_t old_length;
	_Atomic unsigned blocking; /* device: zero and discard calls under way */
	_Atomic int lost;          /* errno of the first failed fdatasync, 0 = none */
};

static inline struct file *file_of(struct storage *st)
{
	return container_of(st, struct file, storage);
}

/* file_zero.c: the operations of the same names. */
int file_zero(struct storage *st, uint64_t offset, uint64_t length, unsigned flags);
int file_discard(struct storage *st, uint64_t offset, uint64_t length);

#endif
