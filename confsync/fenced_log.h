/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads the audit log of xnbd-stonith (its form: stonith/audit.h) from a point on: where it ends by
 * now, and whether a node was shot in between. For fenced.c.
 */
#ifndef CONFSYNC_FENCED_LOG_H
#define CONFSYNC_FENCED_LOG_H

#include "manifest.h"

#include <stdbool.h>
#include <stdint.h>

enum fenced_log {
	FENCED_UNKNOWN, /* the log could not be read */
	FENCED_NO_LINE, /* there was no log, or none with a line */
	FENCED_POINT,
};

struct fenced_point {
	enum fenced_log log;
	uint64_t device, inode;
	uint64_t end;    /* of the last whole line, its newline included */
	uint64_t length; /* of that line, without its newline */
	uint64_t seq;
	char hash[MANIFEST_HEX];
};

/* *ret: where PATH ends. True: behind FROM there is a line that says that VICTIM was switched off,
 * verified. An empty PATH: there is no log. */
bool fenced_log_look(const char *path, const char *victim, const struct fenced_point *from,
	struct fenced_point *ret);

#endif
