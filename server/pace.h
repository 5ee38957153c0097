/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How many fills a copy may have under way, found out by how long they take. A slow line must not
 * be filled with seconds of data of the copy, behind which a client's fetch would stand in line;
 * a long or fast one needs many at once. Pure: the caller's lock, the caller's clock.
 *
 * A fill that takes PACE_QUEUE_MS longer than the shortest one did has stood in line behind our
 * own: there are fewer from then on. While that does not happen there are more.
 */
#ifndef SERVER_PACE_H
#define SERVER_PACE_H

#include <stdint.h>

enum { PACE_MIN = 2, PACE_FIRST = 4, PACE_MAX = 32, PACE_QUEUE_MS = 100, PACE_STEP = 4 };

struct pace {
	unsigned window;   /* fills there may be at once, PACE_MIN ... PACE_MAX */
	unsigned grown;    /* fills that were quick since the window was changed */
	uint64_t shortest; /* ns a fill takes; 0 = none seen */
	uint64_t shrunk;   /* ns, when the window became smaller */
	uint64_t begun[PACE_MAX];
	unsigned first,
		count; /* of `begun`, a ring of those under way; the oldest one is the first */
};

void pace_init(struct pace *p);
/* A fill begins; at most `window` may be under way. */
void pace_begin(struct pace *p, uint64_t ns);
/* The one that began last is none. */
void pace_undo(struct pace *p);
/* One has ended. They are taken to end in the order they began in, which is nearly so. */
void pace_end(struct pace *p, uint64_t ns);

#endif
