/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The run: every peer of a list is told, all at the same time, until each has acknowledged every
 * name or the time is up.
 *
 * Its unit is a mon_name of a peer: records of one file that name different addresses may be
 * different hosts behind one name, so each has to acknowledge for itself. A unit is told all names
 * of its records, one after the other, for each record the full one and then the part before the
 * first dot; a record is dropped from the list (monlist_drop()) when it was acknowledged under
 * both.
 */
#ifndef SM_NOTIFY_CAMPAIGN_H
#define SM_NOTIFY_CAMPAIGN_H

#include "err.h"
#include "monlist.h"
#include "net.h"
#include "plan.h"
#include "reactor.h"
#include "self.h"
#include "settings.h"

#include <stdint.h>

/* What to do, and with what. All of it is kept until campaign_run() returns. */
struct campaign_job {
	const struct settings *settings; /* retry_ms, rpcbind_port */
	const struct self *self;
	struct monlist *list;
	int32_t state;
	struct net *net; /* opened, not started; closed at the end */
	struct reactor *reactor;
};

/* What has come of it. */
struct campaign_result {
	uint32_t told;     /* peers, with all their records */
	uint32_t not_told; /* others */
	bool stopped;      /* by reactor_stop(), before all was done */
	uint64_t ms;       /* it took */
	struct net_counts udp;
	uint64_t strange; /* replies nobody waited for, or from elsewhere than asked */
	uint64_t connections;
	uint64_t lookups;
	uint8_t *faults; /* of each peer of the list not told: enum plan_fault; free() */
};

/*
 * Returns when nothing is left to do, at the deadline, or after reactor_stop(): 0, or -errno if it
 * could not begin or go on. What was not told is in the list as before. *RET is set in any case.
 */
int campaign_run(const struct campaign_job *job, struct campaign_result *ret, struct err *err);

#endif
