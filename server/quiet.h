/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A moment at which nothing changes the export: the gates of all lanes are closed (gate.h), and
 * what had passed them is over. It lasts until quiet_end(). A disk that hangs must not hold up
 * everybody: if it does not come in time, it is given up. All in the main thread but for what is
 * marked; each function that is called back may free the struct.
 */
#ifndef SERVER_QUIET_H
#define SERVER_QUIET_H

#include "round.h"

struct quiet {
	struct reactor *home;
	struct lane *lanes;
	unsigned count;
	struct round round, giving_up;
	struct reactor_timer deadline;
	bool too_late;                    /* it has not come */
	void (*reached)(struct quiet *q); /* or given up; quiet_end() follows, or has */
	void (*step)(struct quiet *q, struct lane *l); /* in each lane, before it goes on */
	void (*over)(struct quiet *q);
};

/* COUNT > 0 lanes, whose threads run. REACHED is called, in MS milliseconds or a little more. */
void quiet_begin(struct quiet *q, struct reactor *home, struct lane *lanes, unsigned count,
	uint64_t ms, void (*reached)(struct quiet *q));
/* Lanes go on, each after a STEP of its own (NULL: nothing); then OVER. */
void quiet_end(struct quiet *q, void (*step)(struct quiet *q, struct lane *l),
	void (*over)(struct quiet *q));

#endif
