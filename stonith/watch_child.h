/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An action of the daemon that goes the way of all others, by shoot(): policy, lock, lease, audit
 * log. That waits for disks and other hosts, so a process of its own does it, a copy of us; it
 * ends with us.
 */
#ifndef STONITH_WATCH_CHILD_H
#define STONITH_WATCH_CHILD_H

#include "reactor.h"
#include "shoot.h"

struct watch_child_answer {
	int ret; /* of shoot() */
	enum fence_power power;
	char text[SHOOT_TEXT_MAX];
};

struct watch_child {
	struct reactor *reactor;
	pid_t pid; /* 0 = none; it may be dying */
	struct reactor_watch watch;
	struct reactor_timer late;
	bool running;
	void (*done)(struct watch_child *c, const struct watch_child_answer *a);
};

void watch_child_init(struct watch_child *c, struct reactor *r,
	void (*done)(struct watch_child *c, const struct watch_child_answer *a));
/* Kills it. */
void watch_child_done(struct watch_child *c);

/*
 * Begins; DONE is called, some seconds behind the victim's deadline at the latest, never by this
 * call. -EBUSY: one is running, or has not ended yet; other -errno: it could not be started.
 */
int watch_child_start(struct watch_child *c, const struct shoot_order *o);

#endif
