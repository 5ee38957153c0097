/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Contents by their hash: FOLDER/ab/cdef..., mode 0600, folders 0700. What is there is whole:
 * written beside, hashed while written, synced, renamed. A content that turns out to be damaged
 * when it is read (its hash is wrong) is removed and reported as -EBADMSG.
 */
#ifndef CONFSYNC_STORE_H
#define CONFSYNC_STORE_H

#include "err.h"
#include "generation.h"

#include <stdbool.h>

#define STORE_SIZE_MAX (1024ULL * 1024 * 1024) /* bytes of a content; as SCAN_BYTES_MAX */

bool store_has(const char *folder, const uint8_t hash[MANIFEST_HASH]);

/* Contents that are added together: whole ones wait until there are many, or much, and are then
 * synced together and named. On an error those that wait are lost, not more. */
enum { STORE_BATCH_MAX = 256 };                /* an open file each */
#define STORE_BATCH_BYTES (8ULL * 1024 * 1024) /* of what waits; is lost when we are killed */
struct store_batch {
	const char *folder;
	struct store_writer *waiting[STORE_BATCH_MAX];
	size_t count;
	uint64_t bytes; /* of all that wait */
};
void store_batch_init(struct store_batch *b, const char *folder);
bool store_batch_has(const struct store_batch *b, const uint8_t hash[MANIFEST_HASH]);
/* Copies SIZE bytes that FD has from its start on; what it reads must have that hash: -EAGAIN else
 * (the file was changed meanwhile). Has it already: 0 at once. */
int store_batch_file(struct store_batch *b, int fd, const uint8_t hash[MANIFEST_HASH],
	uint64_t size, struct err *err);
/* All are in the store; their names may not be on disk. */
int store_batch_name(struct store_batch *b, struct err *err);
/* All are in the store, and durable (folders too), also what was added before by others. Before a
 * promise is built on them. */
int store_batch_end(struct store_batch *b, struct err *err);
/* Those that wait are given up; after the two above there are none. */
void store_batch_drop(struct store_batch *b);
/* One at once, as store_batch_file(); folders are not synced. */
int store_add_file(const char *folder, int fd, const uint8_t hash[MANIFEST_HASH], uint64_t size,
	struct err *err);

/* Piece by piece, from the network. */
struct store_writer;
struct store_writer *store_writer_new(
	const char *folder, const uint8_t hash[MANIFEST_HASH], uint64_t size, struct err *err);
int store_writer_put(struct store_writer *w, const void *bytes, size_t len, struct err *err);
/* W goes into the batch, or is freed. -EBADMSG: it is another content, or not all of it. */
int store_writer_end(struct store_writer *w, struct store_batch *b, struct err *err);
void store_writer_drop(struct store_writer *w);

/* Readable, at its start; its content was not looked at. */
int store_open(const char *folder, const uint8_t hash[MANIFEST_HASH]);
/* To the end of FD, compared with the hash on the way. */
int store_copy_to(const char *folder, const uint8_t hash[MANIFEST_HASH], uint64_t size, int fd,
	struct err *err);

/* Makes durable what was added by store_add_file() since (folders). */
int store_sync(const char *folder);
/* Removes what is none of the COUNT hashes KEEP, which are sorted (memcmp). */
int store_clean(const char *folder, const uint8_t (*keep)[MANIFEST_HASH], size_t count);

#endif
