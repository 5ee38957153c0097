/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Brings all absent blocks of a layer in, in the background: the rest of a proxy's disk, or of a
 * snapshot. One thread that begins fills, as many at once as the line bears and so many bytes a
 * second; what reads as zeros below is not fetched. It starts when asked to, and ends when all
 * blocks are present.
 */
#ifndef SERVER_COPIER_H
#define SERVER_COPIER_H

#include <pthread.h>

#include "layer.h"
#include "pace.h"

enum { COPIER_DEPTH = PACE_MAX, COPIER_EXTENTS = 256, COPIER_TEXT = 128 };

enum copier_state {
	COPIER_NONE, /* never asked to */
	COPIER_RUNNING,
	COPIER_PAUSED,
	COPIER_WAITING, /* for clients to be idle, for the origin, for room; see error */
	COPIER_DONE,
};
const char *copier_state_name(enum copier_state state);

struct copier_settings {
	uint64_t rate; /* bytes a second, 0 = no limit */
	uint64_t unit; /* blocks a fill at most, 0 = as many as the layer allows */
	bool idle;     /* only while clients ask nothing */
};

struct copier_ops {
	/* What is below, from OFFSET on: at most MAX runs, as storage_ops.extents. May block. */
	int (*below)(void *owner, uint64_t offset, uint64_t length, struct extent *out, size_t max);
	/* Are clients busy? NULL = never. */
	bool (*busy)(void *owner);
	/* In its thread: all blocks are present and durable (0), or that could not be made so, or
	 * the layer broke. Not called if it was stopped before. */
	void (*complete)(void *owner, int result);
	/* In its thread: the state is another one. NULL = nobody cares. */
	void (*changed)(void *owner);
};

struct copier_progress {
	enum copier_state state;
	uint64_t rate;           /* bytes a second, lately */
	uint64_t limit;          /* settings.rate */
	int64_t seconds_left;    /* -1 = cannot tell */
	char error[COPIER_TEXT]; /* why it waits; "" */
	int code;                /* errno of that */
};

struct copier {
	struct layer *layer;
	const struct copier_ops *ops;
	void *owner;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t event;
	bool started, stopping, paused;
	struct copier_settings settings;
	enum copier_state state;
	unsigned in_flight;
	struct pace pace;                  /* how many that may be */
	int error;                         /* errno of the last fill that failed, 0 = none since */
	uint64_t pos;                      /* block to go on at */
	uint64_t moved;                    /* bytes brought in by us */
	int64_t tokens;                    /* bytes that may be asked for now */
	uint64_t refilled;                 /* ns, when tokens were counted */
	uint64_t measured, measured_moved; /* ns and bytes of the last measurement */
	uint64_t speed;                    /* bytes a second */
	/* what is below, as last asked; the thread's own */
	struct extent runs[COPIER_EXTENTS];
	int run, run_count;
	uint64_t run_at; /* byte where runs[run] begins */
};

void copier_init(struct copier *c, struct layer *l, const struct copier_ops *ops, void *owner);
/* Begins, or goes on with other settings. 0 or -errno. */
int copier_start(struct copier *c, const struct copier_settings *settings);
void copier_pause(struct copier *c, bool paused);
/* Ends the thread; fills under way have ended when it returns. */
void copier_stop(struct copier *c);
/* Also if it was never started. */
void copier_done(struct copier *c);

void copier_progress(struct copier *c, struct copier_progress *ret);

#endif
