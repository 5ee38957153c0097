/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Drives a plan (fence.h) over lanes (lane.h): steps become SNMP requests by the PDUs' profiles,
 * and answers events. Helpers are started when it is made and stay between runs, with their
 * sessions.
 */
#ifndef STONITH_DRIVE_H
#define STONITH_DRIVE_H

#include "config.h"
#include "fence.h"
#include "lane.h"
#include "reactor.h"

struct drive;

/* NULL: no memory. A node without outlets of its own (behind a proxy) is the caller's mistake. */
struct drive *drive_new(struct reactor *r, const struct config_node *node);
/* The same by LANE, which stays the caller's: of a node with all outlets on its PDU. From start to
 * DONE it is in use. */
struct drive *drive_new_on(struct reactor *r, const struct config_node *node, struct lane *lane);
/* Kills the helpers. NULL is fine. */
void drive_free(struct drive *d);

/*
 * Begins. DONE is called once, when the verdict is there, never by this call; it may call
 * drive_start() again, and not drive_free(). A run that is under way is given up.
 */
void drive_start(struct drive *d, enum fence_goal goal, const struct fence_times *times,
	void (*done)(void *arg), void *arg);

/* A run that is under way is given up, and DONE not called. */
void drive_stop(struct drive *d);

/* The plan, of this run or the last one. */
const struct fence *drive_fence(const struct drive *d);
/* What the outlet's PDU said last in place of an answer, or what its system is: "" = nothing. */
const char *drive_why(const struct drive *d, size_t outlet);

#endif
