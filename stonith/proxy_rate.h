/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How often something may happen, counted in a file that processes share: one time a line, in ms
 * since this boot, so that neither a set clock nor a suspended host gives anybody more.
 */
#ifndef STONITH_PROXY_RATE_H
#define STONITH_PROXY_RATE_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROXY_RATE_MAX = 64 };

struct proxy_rate {
	size_t count;
	uint64_t times[PROXY_RATE_MAX]; /* ms, ascending */
};

/* Pure: forgets what is older than WINDOW or lies in the future; true, and one more, if fewer than
 * LIMIT (at most PROXY_RATE_MAX) are left. */
bool proxy_rate_add(struct proxy_rate *r, uint64_t now, uint64_t window, size_t limit);
/* Takes one that was added at TIME back, if it is still there. */
void proxy_rate_remove(struct proxy_rate *r, uint64_t time);
/* What cannot be read is left out. */
void proxy_rate_parse(struct proxy_rate *r, const char *text);

/*
 * One more at PATH, whose folder is there. 1: it may be; *RET_TIME is for proxy_rate_give_back().
 * 0: too many. -errno: it could not be counted (no room, no right); the caller decides what that
 * means.
 */
int proxy_rate_take(
	const char *path, uint64_t window, size_t limit, uint64_t *ret_time, struct err *err);
/* It came to nothing, and does not count. 0 or -errno. */
int proxy_rate_give_back(const char *path, uint64_t time, struct err *err);

#endif
