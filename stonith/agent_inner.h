/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of agent_run.h share: one call of the agent, and its actions. */
#ifndef STONITH_AGENT_INNER_H
#define STONITH_AGENT_INNER_H

#include "agent.h"
#include "config.h"
#include "reactor.h"
#include "shoot.h"

enum { AGENT_EXIT_DONE = 0, AGENT_EXIT_ON = 0, AGENT_EXIT_UNSURE = 1, AGENT_EXIT_OFF = 2 };

struct agent {
	const struct agent_params *params;
	enum agent_action action;
	struct config config; /* made of PARAMS, with one node, if they name a PDU */
	struct conf files;
	struct reactor reactor;
};

/* Did parameters name a PDU? */
bool agent_is_direct(const struct agent *a);
/* Says ERR, once; AGENT_EXIT_UNSURE. */
int agent_fail(const struct err *err);

/* The node that plug or nodename names. */
int agent_find_victim(struct agent *a, struct config_node **ret, struct err *err);
/* Times given as parameters are put in the place of the configuration's. */
int agent_set_times(const struct agent_params *p, struct config_node *n, struct err *err);

struct shoot_order agent_order(const struct agent *a, const struct config_node *victim);
/* What ACTION becomes, into O->goal; -EPERM: refused, and the log has it. */
int agent_decide(struct agent *a, enum agent_action action, struct shoot_order *o, struct err *err);

/* Exit statuses of agent_run(). */
int agent_show_power(struct agent *a, struct err *err);
int agent_test_all(struct agent *a, struct err *err);
int agent_list(struct agent *a, struct err *err);

#endif
