/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is done for a set with the peer, from scan to end: `sync`, push, pull, resolve, rollback,
 * and the daemon's rounds; and its other side, what sshd starts on the peer (serve.h).
 */
#ifndef CONFSYNC_SYNC_H
#define CONFSYNC_SYNC_H

#include "config.h"
#include "plan.h"
#include "state.h"
#include "talk.h"
#include "transfer.h"

struct sync_order {
	enum plan_wish wish;
	const char *rollback_to; /* generation (state_past()); NULL = none */
	bool dry_run;
	bool full; /* SCAN_FULL */
	/* Of people: also what failed when it was reloaded, which the daemon tries no more until it
	 * changes. */
	bool again;
	const struct transfer_progress *progress;
};

struct sync_result {
	struct plan plan;
	bool reached;    /* the peer */
	bool differs;    /* the set is defined in another way on the peer: a warning */
	uint64_t number; /* generation in force afterwards */
	uint8_t digest[MANIFEST_HASH];
	struct plan_side me, peer;
	uint64_t changed, bytes; /* files sent or received */
	int code;                /* 0, or -errno with text */
	struct err err;
};

/* One conversation for all SETS (in order); each set has its result. T NULL: the peer could not be
 * reached, WHY says why. Sets fail one by one. A set whose lock is held is tried some times, then
 * its code is -EBUSY. PLAN_HOLD and PLAN_WAIT are no failures: look at the plan; of a frozen set
 * that would be changed the code is -EPERM. In doubt still: PLAN_SETTLE. */
void sync_sets(const struct config *c, struct talk *t, const struct err *why,
	const struct config_set *const *sets, size_t count, const struct sync_order *o,
	struct sync_result *ret);

/* This node's side of S now: recovers what a crash left (locks, waits a little), scans, asks the
 * role. SCAN is the caller's to scan_done() after success. UNUSABLE is what the scan finds;
 * validators run before something is sent (transfer.h). -EBUSY: a transaction is under way. */
struct scan;
int sync_side(
	struct state *s, bool full, struct plan_side *ret, struct scan *scan, struct err *err);

/* For diff and resolve, outside of sync_sets(). The peer's live files: RET need not be initialised;
 * empty after a failure. */
int sync_show(struct talk *t, const char *set, struct generation *ret, struct err *err);
/* A content of the peer's live files or history, into the folder STORE (store.h). */
int sync_get(struct talk *t, const char *set, const uint8_t hash[MANIFEST_HASH], const char *store,
	struct err *err);

#endif
