/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bytes of an index file (network order), for the files of index.h:
 *
 *	header     magic, count u32, blob size u64, seconds i64 and ns u32 of the scan, SHA-256 of
 *	           all else
 *	records    count of them, sorted by path: path at u32, length u32, attributes at u32, length
 *	           u32 (in the blob), device u64, inode u64, size u64, mtime i64 u32, ctime i64 u32,
 *	           SHA-256 of the content
 *	blob       paths, each with a zero byte; attributes: u16 length of the name, u32 length of
 *	           the value, name, value, one after the other
 */
#ifndef CONFSYNC_INDEX_FORMAT_H
#define CONFSYNC_INDEX_FORMAT_H

#include "manifest.h"

#define INDEX_MAGIC "xnbdcsi1"

enum {
	INDEX_AT_COUNT = 8,
	INDEX_AT_BLOB = 12,
	INDEX_AT_SECONDS = 20,
	INDEX_AT_NS = 28,
	INDEX_AT_DIGEST = 32,
	INDEX_HEADER = 64,

	INDEX_PATH = 0, /* offsets within a record */
	INDEX_ATTRS = 8,
	INDEX_STAT = 16,
	INDEX_STAT_LEN = 48,
	INDEX_HASH = 64,
	INDEX_RECORD = 96,

	INDEX_SIZE_MAX = 256 * 1024 * 1024,
};

struct stat;
void index_pack_stat(const struct stat *st, uint8_t ret[INDEX_STAT_LEN]);
/* Of a whole file of LEN bytes, at least INDEX_HEADER, without its own field. */
int index_digest(const uint8_t *bytes, size_t len, uint8_t ret[MANIFEST_HASH]);

#endif
