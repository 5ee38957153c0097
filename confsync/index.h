/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was read before, so that it need not be read again: content (its hash) and attributes of
 * files. A file with a digest, no proof; anything wrong with it means that there is none. Sorted by
 * path, fixed-size records; 10,000 entries are looked up in a few ms.
 *
 * An entry is believed if device, inode, size, mtime and ctime are the same, and if the ctime is
 * older by INDEX_RACY_NS than the moment the index was made: a file that was changed later in the
 * same tick has the same times. A ctime that is later than that moment (the clock was set back) is
 * not believed either.
 */
#ifndef CONFSYNC_INDEX_H
#define CONFSYNC_INDEX_H

#include "manifest.h"

#include <sys/stat.h>

#define INDEX_RACY_NS 2000000000LL

struct index;
/* Never NULL but without memory: an index that cannot be read is empty. */
struct index *index_open(const char *path);
/* The same of bytes, which stay the caller's until index_close(). */
struct index *index_of(const uint8_t *bytes, size_t len);
void index_close(struct index *i);
/* Did PATH with ST have this content and these attributes? Then hash and attrs (malloc'd) of RET
 * are filled; else RET is left alone. */
bool index_find(const struct index *i, const char *path, const struct stat *st, struct entry *ret);

struct index_writer;
struct index_writer *index_writer_new(void);
void index_writer_free(struct index_writer *w);
/* In any order. Of E: hash and attrs. */
int index_writer_add(
	struct index_writer *w, const char *path, const struct stat *st, const struct entry *e);
/* NOW: CLOCK_REALTIME when the scan began. Not synced: after a power cut there may be none.
 * -EBUSY: another one is writing it. */
int index_writer_save(struct index_writer *w, const char *path, const struct timespec *now);

#endif
