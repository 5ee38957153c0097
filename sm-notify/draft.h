/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The next version of a small file: written beside it under a name that begins with '.', synced,
 * then renamed over it. After a crash there is the old or the new one, whole. The folder is not
 * synced here: until the caller does it, a power cut may bring the old one back.
 */
#ifndef SM_NOTIFY_DRAFT_H
#define SM_NOTIFY_DRAFT_H

#include <stddef.h>
#include <sys/stat.h>

enum { DRAFT_ROOM = 8192 };

struct draft {
	int folder, fd;   /* fd -1: not begun, or ended */
	const char *temp; /* its name until the commit */
	int error;        /* first failure, sticky: -errno */
	size_t used;
	char bytes[DRAFT_ROOM];
};

/* TEMP is kept, not copied; one left over by a crash is replaced. 0 or -errno. */
int draft_begin(struct draft *d, int folder, const char *temp);
void draft_put(struct draft *d, const void *bytes, size_t len);

/* Mode of LIKE; owner and group too, as far as we may. */
void draft_like(struct draft *d, const struct stat *like);
void draft_mtime(struct draft *d, struct timespec mtime);

/* 0 and it is NAME now, or -errno and nothing was changed. Both end the draft. */
int draft_commit(struct draft *d, int folder, const char *name);
/* Ends a draft, if it has begun. */
void draft_abandon(struct draft *d);

/* 0 or -errno; a file system that cannot sync folders is no failure. */
int draft_sync_folder(int folder);

#endif
