/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Notices by inotify(7) that files of sets may have changed. It is but a reason to scan: nothing is
 * believed of an event than that it was there, and looks at regular intervals find what it misses.
 * Watched are the folders that hold files of a set or may come to do so, and those on the way to
 * them from the root on, so that a folder that is renamed, removed or made anew is noticed. Names
 * that are no part of a set, temporary ones among them, are not told.
 *
 * A link is never followed by listing; a watch itself tells nothing of what is in a file.
 */
#ifndef CONFSYNC_WATCH_H
#define CONFSYNC_WATCH_H

#include "config.h"
#include "reactor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WATCH_FOLDERS_MAX = 100000 };

struct watch_ops {
	/* SETS: bit I = set I of the configuration. */
	void (*changed)(void *arg, uint64_t sets);
	/* The peer has called about them (state_peer_called()), or a set is no more on hold. */
	void (*called)(void *arg, uint64_t sets);
};

struct watch_folder {
	int wd;
	int set; /* its state folder; -1 = a folder of files */
	char *path;
};

struct watch {
	struct reactor *reactor;
	const struct config *config;
	const struct watch_ops *ops;
	void *arg;
	struct reactor_watch in;
	struct watch_folder *folders; /* sorted by wd */
	size_t count, room;
	uint64_t changed, called; /* of the events that are being read */
	int lost;                 /* errno of why not all folders are watched; 0 = all are */
	bool overflow;            /* events were lost; until watch_refresh() */
	uint64_t overflows;       /* how often */
};

/* Watches what there is; if that is not all, watch_lost() says so. C stays the caller's. */
void watch_init(struct watch *w, struct reactor *r, const struct config *c,
	const struct watch_ops *ops, void *arg);
void watch_done(struct watch *w);
/* Looks for folders anew: some were mounted, watches are to be had again, state folders were made.
 */
void watch_refresh(struct watch *w);
/* 0: changes are noticed; else an errno that says why not all are. */
int watch_lost(const struct watch *w);

/* Which sets does a change of PATH concern? Pure. FOLDER: it is one. */
uint64_t watch_concerns(const struct config *c, const char *path, bool folder);

/* For tests: LEN bytes as read from inotify. */
void watch_take(struct watch *w, const char *bytes, size_t len);

#endif
