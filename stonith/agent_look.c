/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Actions of fence_xnbd that switch nothing: status, monitor, list. The monitor finds what would be
 * in the way of a shot before the day of the shot: a PDU, its right to write, a policy.
 */
#include "agent_inner.h"

#include "clock.h"
#include "log.h"
#include "policy.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>

enum {
	/* When looking at all nodes: for one of them, and for all; clusters wait 20 s for that. */
	LOOK_MS = 8000,
	LOOK_MIN_MS = 500,
	LOOKS_MS = 12000,
};

/* Reads, or tests, one node. */
static int look(struct agent *a, struct config_node *n, enum agent_action action, uint64_t within,
	struct shoot_result *ret, struct err *err)
{
	struct shoot_order o = agent_order(a, n);
	int r = agent_decide(a, action, &o, err);

	*ret = (struct shoot_result){0};
	o.within = within;
	return r < 0 ? r : shoot(&o, &a->reactor, ret, err);
}

/* Off only if all were read and R says so: of a failed look only "on" may be believed. */
static enum fence_power power_of(int r, const struct shoot_result *result)
{
	enum fence_power power = fence_power(&result->fence);

	return r < 0 && power == FENCE_POWER_OFF ? FENCE_POWER_UNKNOWN : power;
}

int agent_show_power(struct agent *a, struct err *err)
{
	struct config_node *victim;
	struct shoot_result result;
	int r;

	if (agent_find_victim(a, &victim, err) < 0 || agent_set_times(a->params, victim, err) < 0)
		return agent_fail(err);
	r = look(a, victim, AGENT_STATUS, 0, &result, err);
	switch (power_of(r, &result)) {
	case FENCE_POWER_ON:
		return AGENT_EXIT_ON;
	case FENCE_POWER_OFF:
		return AGENT_EXIT_OFF;
	default:
		return agent_fail(err);
	}
}

/* Nodes that this host's cluster software may shoot; all, if it is not one of them itself. */
static bool is_ours(const struct agent *a, const struct config_node *n)
{
	const struct config_node *self = config_self(&a->config);

	return agent_is_direct(a) || !self || config_may_shoot(self, n);
}

/* Of several looks: each has its limit, and all of them together one. */
static uint64_t look_time(uint64_t end)
{
	uint64_t now = clock_ms(), left = end > now ? end - now : 0;

	return left < LOOK_MIN_MS ? LOOK_MIN_MS : MIN_OF(left, (uint64_t)LOOK_MS);
}

/* An order that would be refused on the day is found today. */
static bool could_shoot(const struct agent *a, const struct config_node *n, struct err *err)
{
	struct policy_request q = {.action = POLICY_OFF,
		.by = agent_is_direct(a) ? POLICY_BY_HAND : POLICY_BY_CLUSTER,
		.victim = n,
		.self = agent_is_direct(a) ? NULL : config_self(&a->config)};
	enum fence_goal goal;

	return policy_decide(&q, &goal, err) == 0;
}

/* Until the first one that cannot be switched: who watches has to be told at all. */
int agent_test_all(struct agent *a, struct err *err)
{
	const uint64_t end = clock_ms() + LOOKS_MS;
	struct shoot_result result;
	bool tested = false;

	err_set(err, EPERM, "there is no other node that could be shot");
	for (size_t i = 0; i < a->config.node_count; i++) {
		struct config_node *n = &a->config.nodes[i];

		if (n == config_self(&a->config) || !could_shoot(a, n, err))
			continue;
		tested = true;
		if (look(a, n, AGENT_MONITOR, look_time(end), &result, err) < 0)
			return agent_fail(err);
	}
	return tested ? AGENT_EXIT_DONE : agent_fail(err);
}

static const char *power_text(enum fence_power power)
{
	static const char *const texts[] = {[FENCE_POWER_OFF] = "off",
		[FENCE_POWER_ON] = "on",
		[FENCE_POWER_UNKNOWN] = "unknown"};

	return texts[power];
}

static void list_one(struct agent *a, struct config_node *n, uint64_t end)
{
	const char *sign = a->params->separator ? a->params->separator : ",";
	struct shoot_result result;
	struct err err;
	int r;

	switch (a->action) {
	case AGENT_HOSTS:
		printf("%s\n", n->name);
		break;
	case AGENT_LIST_STATUS:
		r = look(a, n, AGENT_STATUS, look_time(end), &result, &err);
		if (r < 0)
			log_warn("%s", err.text);
		printf("%s%s%s%s%s\n", n->name, sign, n->name, sign,
			power_text(power_of(r, &result)));
		break;
	default:
		printf("%s%s%s\n", n->name, sign, n->name);
	}
}

int agent_list(struct agent *a, struct err *err)
{
	const uint64_t end = clock_ms() + LOOKS_MS;

	if (agent_is_direct(a)) {
		err_set(err, ENOTSUP,
			"a list of nodes needs a configuration; with ip, tell the cluster itself "
			"(pcmk_host_map)");
		return agent_fail(err);
	}
	for (size_t i = 0; i < a->config.node_count; i++) {
		if (is_ours(a, &a->config.nodes[i]))
			list_one(a, &a->config.nodes[i], end);
	}
	return AGENT_EXIT_DONE;
}
