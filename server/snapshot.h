/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A snapshot of a live export: its file, and how it comes to be complete.
 *
 * Cloned (FICLONE) where the file system can: complete at once. Else, or if the image has so many
 * extents that cloning would hold up clients, it is a layer in front of the live image (copy before
 * write; where possible blocks are shared one by one): a block is saved before a request overwrites
 * it (exec.c), when a client of the snapshot reads it, or by the copier. The file is FILE.partial
 * until it is complete and durable, then FILE; nothing is ever overwritten.
 *
 * Who fixes the point in time, and tells the lanes, is worker_snapshot.c. Calls marked so block.
 */
#ifndef SERVER_SNAPSHOT_H
#define SERVER_SNAPSHOT_H

#include <limits.h>

#include "copier.h"
#include "layer.h"
#include "quiet.h"

enum {
	SNAPSHOT_BLOCK = 64 * 1024,
	SNAPSHOT_FILL = 1024 * 1024,
	SNAPSHOT_UNIT = 4,       /* blocks a fill of the copier; clients wait behind 32 fills */
	SNAPSHOT_EXTENTS = 1000, /* 10 to 20 us each while all writes wait */
	SNAPSHOTS_MAX = 32,      /* of a worker, complete ones too */
};

enum snapshot_state { SNAPSHOT_COPYING, SNAPSHOT_COMPLETE, SNAPSHOT_FAILED };
const char *snapshot_state_name(enum snapshot_state state);

struct snapshot {
	struct layer layer; /* what clients of it are served: layer.storage */
	struct storage *live;
	struct io_threads *threads;
	struct copier copier;
	uint64_t id; /* epoch seconds, unique in the worker */
	char path[PATH_MAX], partial[PATH_MAX];
	_Atomic bool has_partial; /* it is there, and ours */
	_Atomic bool clones;      /* its blocks are shared with the live image's */
	bool scattered;           /* the image has too many extents to be cloned at once */
	bool whole;               /* cloned at once */
	enum snapshot_state state;
	int error; /* errno, why it has failed */
	/* the rest is worker_snapshot.c's */
	struct worker *worker;
	char *name;            /* of the export: NAME@ID */
	struct errand *errand; /* to be answered when the point is fixed */
	struct quiet quiet;
	struct round round;            /* lanes save for it no more */
	struct reactor_timer deadline; /* of the disk, to take what is in memory */
	struct reactor_task news;
	_Atomic int result;  /* of the copy, when it is over */
	bool listed, saving; /* known to clients; lanes save for it */
	bool leaving;        /* they are being told to do so no more */
	bool busy;           /* a thread is at it, besides the copier's */
	bool too_late, dropped;
	unsigned users; /* clients */
	struct snapshot *next;
};

/*
 * Makes FILE.partial, as long as LIVE. TO: its name, NULL = IMAGE.snapshot.ID with the first id
 * from *ID on that is free; *ID is what it became. Blocks. NULL with ERR.
 */
struct snapshot *snapshot_new(
	struct storage *live, const char *image, const char *to, uint64_t *id, struct err *err);
/* Writes out what LIVE has in memory, so that the point can be fixed quickly, and finds out how.
 * Blocks, and hangs if the disk does. */
void snapshot_settle(struct snapshot *s);
/* Nobody uses it any more. An incomplete file is removed. Blocks. */
void snapshot_free(struct snapshot *s);

/* Nobody writes to LIVE now: clones it. 0, or -errno: it must be copied. Blocks. */
int snapshot_clone(struct snapshot *s);
/* Copying: begins. COMPLETE(s) is called in the copier's thread when s->result is known, after
 * snapshot_finish(). */
int snapshot_copy(struct snapshot *s, const struct copier_ops *ops);
/*
 * The copy is over. RESULT 0, all is in the file: makes it durable and gives it its name. Else, or
 * if that fails, or it was stopped, the file goes and its room is given back. 0 or -errno. Blocks.
 */
int snapshot_finish(struct snapshot *s, int result);
/* Ends copying; what is not saved is lost. A complete one stays as it is. Blocks. */
void snapshot_stop(struct snapshot *s);

#endif
