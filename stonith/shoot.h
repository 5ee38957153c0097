/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One action on one node: joins fence.h (what to do) with lanes (who does it), the victim's lock,
 * and the audit log. All front ends end up here, after policy.h has said what is to be done.
 *
 * Of what switches, the log gets two lines: before the first command and with the outcome. The
 * second one is on disk before anybody hears of success. If a line cannot be written the shot
 * counts all the same, and TEXT says so. The deadline is of all together, the delay too.
 */
#ifndef STONITH_SHOOT_H
#define STONITH_SHOOT_H

#include "audit.h"
#include "config.h"
#include "fence.h"
#include "reactor.h"

enum { SHOOT_NAME_MAX = 64, SHOOT_TEXT_MAX = 512 };

struct shoot_order {
	const struct config *config;
	const struct config_node *victim;
	enum fence_goal goal;
	const char *who;    /* "fence_xnbd", "xnbd-stonith (uid 0)" ... for lock and audit log */
	const char *reason; /* NULL = none given */
	bool by_hand;       /* an administrator: no delay, no tie-break by ping */
	uint64_t within; /* ms: a deadline shorter than the configured one; 0 = none (for the proxy)
			  */
};

struct shoot_result {
	struct fence fence; /* each outlet's states, the verdict */
	/* "left:1", as who shot calls them: with a proxy they are those of the proxy's
	 * configuration. */
	char names[FENCE_OUTLETS_MAX][SHOOT_NAME_MAX];
	/* What the outlet's PDU said last in place of an answer; "" = nothing. */
	char why[FENCE_OUTLETS_MAX][SHOOT_NAME_MAX];
	uint64_t ms;
	bool confirmed;  /* not verified, but an administrator has confirmed that it is off */
	bool unrecorded; /* a line of the audit log is missing */
	/* Of our last line in the audit log, to be noted elsewhere, too; "" = there is none. */
	char audit_hash[AUDIT_HASH_ROOM];
	char text[SHOOT_TEXT_MAX]; /* one line: done, or why not and which outlets */
};

/*
 * 0: verified, or CONFIRMED; of READ and TEST: all outlets could be read, could be switched.
 * -EPERM, -EBUSY: nothing was done, ERR says why (the tie-break, another shot, another's lease).
 * Other -errno: it is not certain that it was done, ERR has RET->text. RET is filled in any case.
 */
int shoot(
	const struct shoot_order *o, struct reactor *r, struct shoot_result *ret, struct err *err);

/* For front ends: notes in the audit log that this was refused, and why. */
void shoot_refused(const struct shoot_order *o, const char *why);

/* "off", "on", "reboot", "status", "test". */
const char *shoot_goal_text(enum fence_goal goal);

#endif
