/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What ends a run before it is done: SIGTERM, SIGINT or SIGHUP, its time limit, and a node that is
 * active no more. Asked by whoever waits, several times a second; that never blocks.
 */
#ifndef BACKUP_STOP_H
#define BACKUP_STOP_H

#include "child.h"

#include <stdbool.h>
#include <stdint.h>

struct stop {
	int fd;                /* signalfd; wakes who polls it */
	bool is_due;           /* and stays so */
	bool is_late;          /* for the time limit */
	char why[128];         /* "signal 15" */
	uint64_t until;        /* ms, 0 = no limit */
	const char *active_if; /* NULL = not asked; not copied */
	uint64_t next;         /* ms: when that is asked again */
	struct child check;    /* that asks it, while check.pid > 0 */
};

enum { STOP_CHECK_MS = 10000, STOP_CHECK_LIMIT_MS = 10000 };

/* Blocks the signals for the whole process, but those ignored before. MINUTES 0 = no limit. */
int stop_init(struct stop *s, uint64_t minutes, const char *active_if, struct err *err);
void stop_done(struct stop *s);

bool stop_due(struct stop *s);

/* From now on it is, for this reason, unless it was before. */
void stop_now(struct stop *s, const char *why);
/* The same, as this node is not active any more. */
void stop_inactive(struct stop *s);

#endif
