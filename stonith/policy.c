/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of policy.h. Each rule is one function that refuses with its reason; what no rule
 * refuses may be done.
 */
#include "policy.h"

#include "util.h"

#include <errno.h>
#include <strings.h>

static const char *const names[] = {
	[POLICY_OFF] = "off",
	[POLICY_ON] = "on",
	[POLICY_REBOOT] = "reboot",
	[POLICY_STATUS] = "status",
	[POLICY_TEST] = "test",
};

bool policy_action_parse(const char *text, enum policy_action *ret)
{
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		if (strcasecmp(text, names[i]) == 0) {
			*ret = (enum policy_action)i;
			return true;
		}
	}
	return false;
}

const char *policy_action_text(enum policy_action action)
{
	return names[action];
}

static bool is_shot(enum policy_action action)
{
	return action == POLICY_OFF || action == POLICY_REBOOT;
}

static bool only_looks(enum policy_action action)
{
	return action == POLICY_STATUS || action == POLICY_TEST;
}

static int check_self(const struct policy_request *q, struct err *err)
{
	if (!is_shot(q->action) || q->victim != q->self)
		return 0;
	return err_set(
		err, EPERM, "%s: is this host, which does not shoot itself", q->victim->name);
}

static int check_cluster(const struct policy_request *q, struct err *err)
{
	const struct config_node *victim = q->victim, *self = q->self;

	if (only_looks(q->action) || (q->action == POLICY_ON && victim == self))
		return 0;
	if (!self)
		return err_set(err, EPERM,
			"%s: this host is none of the nodes, so it is not among the shooters (key "
			"self says which one it is)",
			victim->name);
	if (!config_may_shoot(self, victim))
		return err_set(
			err, EPERM, "%s: %s is not among its shooters", victim->name, self->name);
	return 0;
}

static unsigned action_bit(enum policy_action action)
{
	static const unsigned bits[] = {
		[POLICY_OFF] = CONFIG_ACT_OFF,
		[POLICY_ON] = CONFIG_ACT_ON,
		[POLICY_REBOOT] = CONFIG_ACT_REBOOT,
		[POLICY_STATUS] = CONFIG_ACT_STATUS,
		[POLICY_TEST] = CONFIG_ACT_STATUS,
	};

	return bits[action];
}

static int check_caller(const struct policy_request *q, struct err *err)
{
	const struct config_caller *c = q->caller;

	for (size_t i = 0; i < c->victims.count; i++) {
		if (strcasecmp(c->victims.items[i], q->victim->name) != 0)
			continue;
		if (c->actions & action_bit(q->action))
			return 0;
		return err_set(err, EPERM, "%s: caller %s may not ask for %s", q->victim->name,
			c->name, names[q->action]);
	}
	return err_set(err, EPERM, "%s: is no victim of caller %s", q->victim->name, c->name);
}

static int check_daemon(const struct policy_request *q, struct err *err)
{
	if (only_looks(q->action) || (q->action == POLICY_ON && q->victim == q->self))
		return 0;
	return err_set(err, EPERM, "%s: the daemon switches on its own host and nothing else",
		q->victim->name);
}

static int check_by(const struct policy_request *q, struct err *err)
{
	switch (q->by) {
	case POLICY_BY_CLUSTER:
		return check_cluster(q, err);
	case POLICY_BY_CALLER:
		return check_caller(q, err);
	case POLICY_BY_DAEMON:
		return check_daemon(q, err);
	case POLICY_BY_HAND:
		return 0;
	}
	return err_set(err, EPERM, "%s: nobody asks", q->victim->name);
}

/* Is somebody there who has looked at the node? One that runs, as we do on it, is one too. */
static bool may_switch_on(const struct policy_request *q)
{
	return q->victim->policy != CONFIG_CYCLE_CONFIRMED || q->confirmed ||
		q->by == POLICY_BY_HAND || q->victim == q->self;
}

static int check_on(const struct policy_request *q, struct err *err)
{
	if (q->action != POLICY_ON || may_switch_on(q))
		return 0;
	return err_set(err, EPERM,
		"%s: is switched on only after an administrator has confirmed it (xnbd-stonith "
		"confirm)",
		q->victim->name);
}

static enum fence_goal reboot_goal(const struct policy_request *q)
{
	if (q->by == POLICY_BY_HAND)
		return FENCE_CYCLE;
	return q->victim->policy != CONFIG_OFF && may_switch_on(q) ? FENCE_CYCLE : FENCE_OFF;
}

int policy_decide(const struct policy_request *q, enum fence_goal *ret, struct err *err)
{
	static const enum fence_goal goals[] = {
		[POLICY_OFF] = FENCE_OFF,
		[POLICY_ON] = FENCE_ON,
		[POLICY_STATUS] = FENCE_READ,
		[POLICY_TEST] = FENCE_TEST,
	};
	int r = check_self(q, err);

	if (r == 0)
		r = check_by(q, err);
	if (r == 0)
		r = check_on(q, err);
	if (r < 0)
		return r;
	*ret = q->action == POLICY_REBOOT ? reboot_goal(q) : goals[q->action];
	return 0;
}
