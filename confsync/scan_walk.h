/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of scan.h share: a scan under way. Functions return 0 when there is nothing more
 * to say (a fault was noted, too), -errno when the whole scan is in vain.
 */
#ifndef CONFSYNC_SCAN_WALK_H
#define CONFSYNC_SCAN_WALK_H

#include "index.h"
#include "meta.h"
#include "path.h"
#include "scan.h"

enum { SCAN_PATH_ROOM = PATH_BYTES_MAX + PATH_COMPONENT_MAX + 2 };

struct scan_walk {
	const struct config *config;
	const struct config_set *set;
	const struct config_set *others[CONFIG_SETS_MAX]; /* which may have files in our folders */
	size_t other_count;
	struct scan *out;
	struct meta_names *names;
	const struct index *known;   /* NULL: nothing is believed */
	struct index_writer *writer; /* NULL: nothing is written */
	uint64_t files, bytes;       /* so far */
	bool full;                   /* a limit was met: no more is looked at */
	char path[SCAN_PATH_ROOM];   /* of what is looked at */
	struct err *err;
};

/* "PATH: text". */
void scan_fault(struct scan_walk *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* scan_walk.c: w->path, which is NAME in PARENT, and all that it holds. */
int scan_walk(struct scan_walk *w, int parent, const char *name);
/* The same from "/" on. */
int scan_walk_root(struct scan_walk *w);

/* scan_file.c: hash and attributes of the file NAME in FOLDER, from the index or read; *st: what it
 * was then. 1: there is none any more, or a fault was noted. */
int scan_file(struct scan_walk *w, int folder, const char *name, struct stat *st, struct entry *e);

/* scan_rules.c: does E break a rule of the set? */
void scan_rules(struct scan_walk *w, const struct entry *e);

#endif
