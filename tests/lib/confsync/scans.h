/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scans for tests: a folder of real files, a real configuration (in a folder beside it) whose only
 * set is "t" unless more are given. In texts '@' stands for the folder of the files. Whatever fails
 * ends the process.
 */
#ifndef TESTS_LIB_CONFSYNC_SCANS_H
#define TESTS_LIB_CONFSYNC_SCANS_H

#include "config.h"
#include "scan.h"
#include "temp.h"

#include <limits.h>

struct scans {
	struct temp temp;
	char root[TEMP_PATH_MAX];  /* of the files, real path */
	char index[TEMP_PATH_MAX]; /* file of the index; "" = none */
	char path[PATH_MAX];       /* what scans_path() made last */
	struct config config;
	struct scan scan;
	struct err err;
};

void scans_init(struct scans *s);
void scans_done(struct scans *s);

/* KEYS: of set "t". MORE: further sections, "" = none. */
void scans_config(struct scans *s, const char *keys, const char *more);
/* A scan of set "t": what scan_set() returns; the result is in s->scan. */
int scans_run(struct scans *s, enum scan_depth depth);

const char *scans_path(struct scans *s, const char *name);
/* The file NAME and folders above it. */
void scans_write(struct scans *s, const char *name, const char *content);
void scans_mkdir(struct scans *s, const char *name);
/* A command of the shell in the folder; its exit status must be 0. */
void scans_shell(struct scans *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Of the last scan; NULL: it is not there. */
const struct entry *scans_entry(struct scans *s, const char *name);
/* Has a fault of the last scan this text in it? */
bool scans_fault(const struct scans *s, const char *text);

#endif
