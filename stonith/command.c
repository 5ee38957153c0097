/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shots and status by hand: configuration, policy, shot, answer. Whoever works by hand is an
 * administrator: no delay and no tie-break, but not this host itself either.
 */
#include "command.h"

#include "conf_objects.h"
#include "confirm.h"
#include "lease.h"
#include "log.h"
#include "policy.h"
#include "report.h"
#include "shoot.h"
#include "util.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { STATUS_ON = 0, STATUS_UNKNOWN = 1, STATUS_OFF = 2 };

int command_fail(const struct err *err)
{
	log_error("%s", err->text);
	return EXIT_FAILURE;
}

void command_who(char *ret, size_t room)
{
	snprintf(ret, room, "xnbd-stonith (uid %u)", getuid());
}

static enum policy_action action_of(enum options_command command)
{
	switch (command) {
	case OPTIONS_OFF:
		return POLICY_OFF;
	case OPTIONS_ON:
		return POLICY_ON;
	case OPTIONS_REBOOT:
		return POLICY_REBOOT;
	default:
		return POLICY_STATUS;
	}
}

/* 0 or -EPERM: the log has it, and so has ERR. */
static int decide(const struct options *o, struct shoot_order *order, struct err *err)
{
	const struct config *c = order->config;
	struct policy_request q = {.action = action_of(o->command),
		.by = POLICY_BY_HAND,
		.victim = order->victim,
		.self = config_self(c),
		.confirmed = confirm_get(
			c->general.run_directory, order->victim->name, CONFIRM_ON, NULL)};
	int ret = policy_decide(&q, &order->goal, err);

	if (ret < 0)
		shoot_refused(order, err->text);
	else if (o->force)
		lease_drop(c->general.run_directory, order->victim->name);
	return ret;
}

static int status_of(const struct shoot_result *r, int ret)
{
	switch (fence_power(&r->fence)) {
	case FENCE_POWER_ON:
		return STATUS_ON;
	case FENCE_POWER_OFF:
		return ret == 0 ? STATUS_OFF : STATUS_UNKNOWN;
	case FENCE_POWER_UNKNOWN:
		break;
	}
	return STATUS_UNKNOWN;
}

static int carry_out(const struct options *o, const struct shoot_order *order)
{
	struct shoot_result *result = calloc(1, sizeof(*result));
	struct reactor reactor;
	struct err err = {0};
	int ret = result ? reactor_init(&reactor) : -ENOMEM;

	if (ret < 0) {
		free(result);
		return command_fail((err_sys(&err, -ret, "event loop"), &err));
	}
	ret = shoot(order, &reactor, result, &err);
	reactor_done(&reactor);
	report_shot(o, order, result, ret, &err);
	if (o->command == OPTIONS_STATUS)
		ret = status_of(result, ret);
	else
		ret = ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	free(result);
	return ret;
}

static int shot(const struct options *o, const struct config *c)
{
	char who[64];
	struct shoot_order order = {.config = c,
		.victim = config_node(c, o->operand),
		.goal = FENCE_READ,
		.who = who,
		.reason = o->reason,
		.by_hand = true,
		.within = o->deadline * 1000};
	struct err err = {0};

	command_who(who, sizeof(who));
	if (!order.victim) {
		err_set(&err, ENOENT, "'%.64s': no such node in %.300s", o->operand, o->config);
		return command_fail(&err);
	}
	if (decide(o, &order, &err) < 0)
		return command_fail(&err);
	return carry_out(o, &order);
}

static int dispatch(const struct options *o, const struct config *c)
{
	switch (o->command) {
	case OPTIONS_LIST:
		return command_list(o, c);
	case OPTIONS_VERIFY_MAP:
		return command_map(o, c);
	case OPTIONS_AUDIT:
		return command_audit(o, c);
	case OPTIONS_CONFIRM:
		return command_confirm(o, c);
	case OPTIONS_HEALTH:
		return command_health(o, c);
	default:
		return shot(o, c);
	}
}

/* Before the day, not on it. */
static void warn(const struct options *o, const struct conf *files, const struct config *c)
{
	struct conf found;

	if (o->command != OPTIONS_VERIFY_MAP)
		return;
	config_warn(files, c, &found);
	for (size_t i = 0; i < found.fault_count; i++)
		log_warn("%s", found.faults[i]);
	conf_done(&found);
}

int command_run(const struct options *o)
{
	struct config c;
	struct conf files = {0};
	int ret = config_read(o->config, &c, &files);

	conf_log_faults(&files);
	if (ret == 0) {
		warn(o, &files, &c);
		lease_prepare(c.general.run_directory, NULL); /* who needs it says so */
		ret = dispatch(o, &c);
		config_free(&c);
	} else {
		ret = EXIT_FAILURE;
	}
	conf_done(&files);
	return ret;
}
