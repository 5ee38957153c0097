/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is being shot: an audit must not be in a shot's way. Before one begins on a PDU it asks
 * lease_is_locked(); and when a shot begins meanwhile, it is told here. We never hold a victim's
 * lock, so no shot waits for us, not even if we hang.
 */
#ifndef STONITH_WATCH_LOCK_H
#define STONITH_WATCH_LOCK_H

#include "reactor.h"

struct watch_lock {
	struct reactor *reactor;
	struct reactor_watch watch; /* fd -1: locks cannot be followed */
	/* NODE's name, in small letters: somebody has just taken its lock. */
	void (*taken)(void *arg, const char *node);
	void *arg;
};

/* 0 or -errno; in that case the rest does nothing. */
int watch_lock_init(struct watch_lock *l, struct reactor *r,
	void (*taken)(void *arg, const char *node), void *arg);
void watch_lock_done(struct watch_lock *l);

/* Follows DIR, which may have been made anew. Again and again. 0 or -errno. */
int watch_lock_follow(struct watch_lock *l, const char *dir);

#endif
