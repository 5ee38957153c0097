/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which blocks of a layer (overlay, cache, snapshot) hold the truth: in memory, and on disk if the
 * layer is to survive.
 *
 * On disk there are four files beside each other:
 *
 *	PATH         one bit a block, raw, as the original's cache bitmap. Only bits that are
 *PROVEN: the data they vouch for was made durable before they were written. PATH.live    the same,
 *as known to the running process. A bit is written there before a write is acknowledged, without
 *any sync: it survives a killed process, as the data in the page cache does, and is believed only
 *in the boot it was written in. PATH.info    JSON, replaced as a whole: format version, size,
 *block, identity (what the layer belongs to), which data file, boot id, "clean". The data file is
 *known by inode and time of birth (an inode is used again), or inode and device where no birth is
 *told; a device number alone changes from boot to boot. PATH.written the blocks a client wrote;
 *believed after a clean end only, and written only then.
 *
 * Opening: clean -> PATH is believed. Not clean, same boot -> PATH and PATH.live. Not clean,
 * another boot -> PATH alone; so too if the data could not be synced, for then the page cache is no
 * witness. No PATH.info but PATH of the right length -> a raw bitmap of the original, believed with
 * a warning. Info of another size, block, identity or data file: refused. PATH empty or absent:
 * begun anew, whatever else is there.
 *
 * A bit goes through three steps: staged (the live file is being told), present (everybody may read
 * the block from the layer), proven (durable). So whatever is present survives a kill. What is
 * staged may be found after one, too, even if it never became present: its data was in place, only
 * nobody was told so.
 */
#ifndef SERVER_BLOCKMAP_H
#define SERVER_BLOCKMAP_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bitmap.h"
#include "err.h"

struct blockmap {
	uint64_t size;   /* bytes of the export */
	unsigned block;  /* bytes of a block, power of two */
	uint64_t blocks; /* the last one may be shorter */
	struct bitmap present;
	struct bitmap written;  /* by a client: no copies of what is below (blockmap_wrote()) */
	_Atomic uint64_t count; /* bits of `present` */
	bool persistent;        /* the rest only then */
	struct bitmap staged;
	struct bitmap dirty; /* pages (4 KiB) of `staged` with bits nobody has begun to prove */
	struct bitmap taken; /* pages that a flush is proving now */
	char *path;
	int fd;                    /* PATH */
	const char *anew;          /* see struct blockmap_wish */
	int live_fd;               /* PATH.live */
	int data_fd;               /* of the layer, borrowed */
	json_t *identity;          /* our own copy */
	char boot[40];             /* id of this boot; "" = not known, or `lost` */
	pthread_mutex_t flushing;  /* guards round, flushed, identity, boot, PATH and PATH.info */
	uint8_t *round;            /* memory for the pages of a round of a flush */
	_Atomic uint64_t begun;    /* number of the last flush that began */
	uint64_t flushed;          /* of the last one that succeeded */
	_Atomic uint64_t failures; /* rounds that failed: their pages are dirty again */
	_Atomic int lost;          /* errno of the first failed sync of the data, 0 = none; stays */
};

/* A map in memory that vanishes. 0 or -ENOMEM. */
int blockmap_init(struct blockmap *m, uint64_t size, unsigned block);

struct blockmap_wish {
	const char *path;
	uint64_t size;
	unsigned block;
	/* Of the layer's file, borrowed until blockmap_done(). Synced here and by nobody else: the
	 * kernel tells each open file once of a write that was lost. */
	int data_fd;
	json_t *identity; /* what the layer belongs to, an object; copied. Compared as a whole */
	const char *anew; /* and how to begin anew; NULL = "--clear-bitmap" */
	const char *what; /* for messages: "cache" or "overlay" */
	bool clear;       /* forget all bits, whatever they belong to (--clear-bitmap) */
};

/*
 * Opens or creates a persistent one and marks it unclean. Mode of new files 0600; locked (flock)
 * against a second process: -EBUSY. Refusals are one line that says what belongs to what, and what
 * to do (--clear-bitmap to begin anew). After a failure blockmap_done() is harmless.
 */
int blockmap_open(struct blockmap *m, const struct blockmap_wish *wish, struct err *err);

/*
 * What PATH.info says of the size, without opening anything else; 0 = there is none that can be
 * read. For proxies that start while their origin is down.
 */
uint64_t blockmap_known_size(const char *path);

/* Another identity from now on (reconnect to another origin, or switched). Durable on return. After
 * a failure the old one stays, in memory; it waits for a flush under way. */
int blockmap_rename(struct blockmap *m, json_t *identity, struct err *err);

/* Flushes (data too), says "clean", removes PATH.live. 0 or -errno: then it stays unclean. Nobody
 * may set bits any more. */
int blockmap_close(struct blockmap *m);
/* Frees everything without touching the files (as a crash would). After blockmap_close() too.
 * Harmless for a struct of zeros and a second time. */
void blockmap_done(struct blockmap *m);

/*
 * First step, of [first, first + count) whose data is in place: what to write to the live file
 * before blockmap_publish(). False: nothing to write (not persistent, or all is staged AND
 * present). The bytes are our memory, and must be read when the write is done, not copied earlier:
 * they only ever gain bits, so whichever of several writes comes last has all of them. (pwrite(2),
 * pwritev2(2) or the ring's; the first is taken for a data race by ThreadSanitizer.) The file is as
 * long as it ever gets. If the write fails, do not publish: the next one who stages these writes
 * them again.
 */
struct blockmap_live {
	int fd;
	const uint8_t *bytes;
	size_t length;
	uint64_t offset;
};
bool blockmap_stage(struct blockmap *m, uint64_t first, uint64_t count, struct blockmap_live *ret);
/* Second step, after that write. Any thread. */
void blockmap_publish(struct blockmap *m, uint64_t first, uint64_t count);
/* Both, with a blocking write between them; for threads. 0 or -errno (nothing is present then). */
int blockmap_set(struct blockmap *m, uint64_t first, uint64_t count);

/* A client writes there. Kept in memory and, at a clean end, in PATH.written; after any other, and
 * for a raw bitmap, every present block counts as written, because nobody knows. */
void blockmap_wrote(struct blockmap *m, uint64_t first, uint64_t count);

/*
 * Third step: everything that was present before the call, and its data, is durable after it. 0 or
 * -errno. If the data could not be synced, every later flush fails too; if only bits could not be
 * written (no room), a later one may succeed. Several at once share their syncs. Not persistent: 0.
 */
int blockmap_flush(struct blockmap *m);
/*
 * Is it so already for this range's bits? (Not for data.) False also if some are not present or
 * just being proven. Never waits. Not persistent: true, there is nothing to wait for.
 */
bool blockmap_proven(struct blockmap *m, uint64_t first, uint64_t count);

#endif
