/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * May this be done, and what is to be done then? Pure: what it needs to know is in the request.
 *
 *	              the cluster            by hand        a caller of the proxy
 *	off, reboot   shooters of the        not self       victims and actions of its
 *	              victim, not self                      section, not self
 *	on            shooters, and self     yes            the same
 *	status, test  yes                    yes            victims, action "status"
 *
 * Nobody shoots the host that he runs on, not even by hand. What a reboot becomes is the node's
 * policy: off, or off and on. With "cycle-confirmed" nothing is switched on before an administrator
 * has confirmed; who works by hand is one, so his reboot is off and on in any case.
 */
#ifndef STONITH_POLICY_H
#define STONITH_POLICY_H

#include "config.h"
#include "fence.h"

enum policy_action { POLICY_OFF, POLICY_ON, POLICY_REBOOT, POLICY_STATUS, POLICY_TEST };

enum policy_by {
	POLICY_BY_CLUSTER, /* fence_xnbd, external/xnbd: this host's cluster software */
	POLICY_BY_HAND,    /* an administrator */
	POLICY_BY_CALLER,  /* by SSH, on the proxy's host */
	POLICY_BY_DAEMON,  /* ourselves: `on` of self and status, no more */
};

struct policy_request {
	enum policy_action action;
	enum policy_by by;
	const struct config_node *victim;
	const struct config_node *self;     /* NULL: this host is no node */
	const struct config_caller *caller; /* of BY_CALLER */
	bool confirmed;                     /* confirm.h has CONFIRM_ON of the victim */
};

/* 0, or -EPERM and one line that says which rule. */
int policy_decide(const struct policy_request *q, enum fence_goal *ret, struct err *err);

/* "off", "reboot" ...; without regard to case. False: TEXT is none of them. */
bool policy_action_parse(const char *text, enum policy_action *ret);
const char *policy_action_text(enum policy_action action);

#endif
