/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fence_xnbd: actions of a cluster's fence agent, in terms of policy.h and shoot.h. What it prints
 * is read by the cluster: lists on standard output, one line of reason on standard error.
 */
#include "agent_run.h"

#include "agent_direct.h"
#include "agent_inner.h"
#include "conf_objects.h"
#include "confirm.h"
#include "log.h"
#include "policy.h"
#include "reactor.h"
#include "shoot.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { SECONDS_MAX = 600 };

bool agent_is_direct(const struct agent *a)
{
	return a->params->ip;
}

int agent_fail(const struct err *err)
{
	log_error("%s", err->text);
	return AGENT_EXIT_UNSURE;
}

/* Of parameters file and sections mean nothing to anybody, and keys have their names. */
static void tell_direct_fault(const char *fault)
{
	static const char *const names[][2] = {{"address", "ip"}, {"port", "ipport"},
		{"version", "snmp_version"}, {"user", "username"}, {"auth", "snmp_auth_prot"},
		{"auth-file", "password"}, {"priv", "snmp_priv_prot"},
		{"priv-file", "snmp_priv_passwd"}, {"community-file", "community"},
		{"timeout", "shell_timeout"}, {"outlets", "plug"}};
	static const char file[] = ": /proc/self/fd/";
	const char *title = strstr(fault, "\": "), *key = title ? title + 3 : fault, *name = "";
	size_t len = strcspn(key, ": ");

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strlen(names[i][0]) == len && strncmp(names[i][0], key, len) == 0)
			name = names[i][1];
	}
	key += *name ? len : 0;
	if (strncmp(key, file, strlen(file)) == 0)
		key = strstr(key + 1, ": ") ? strstr(key + 1, ": ") : key;
	log_error("%s%s", name, key);
}

static void tell_faults(const struct agent *a)
{
	for (size_t i = 0; i < a->files.fault_count; i++) {
		if (agent_is_direct(a))
			tell_direct_fault(a->files.faults[i]);
		else
			log_error("%s", a->files.faults[i]);
	}
}

static int load(struct agent *a, struct err *err)
{
	const char *path = a->params->config ? a->params->config : CONFIG_DEFAULT;
	int r;

	if (agent_is_direct(a))
		r = agent_direct(a->params, &a->reactor, &a->config, &a->files, err);
	else
		r = config_read(path, &a->config, &a->files);
	if (r < 0)
		tell_faults(a);
	if (r < 0 && !agent_is_direct(a))
		err_set(err, EINVAL, "%.300s: not usable, nothing was done", path);
	return r;
}

static int seconds(const char *name, const char *text, uint64_t *ret, struct err *err)
{
	if (!text || str_number(text, 0, SECONDS_MAX, ret) == 0)
		return 0;
	return err_set(err, EINVAL, "%s=%.64s: not a number of seconds from 0 to %d", name, text,
		SECONDS_MAX);
}

/* Times given as parameters are put in the place of the configuration's. */
int agent_set_times(const struct agent_params *p, struct config_node *n, struct err *err)
{
	uint64_t timeout = n->deadline, wait = n->dwell / 1000, delay = n->delay / 1000;
	int r = seconds("power_timeout", p->power_timeout, &timeout, err);

	if (r == 0)
		r = seconds("power_wait", p->power_wait, &wait, err);
	if (r == 0)
		r = seconds("delay", p->delay, &delay, err);
	if (r < 0)
		return r;
	if (p->power_timeout && timeout > 0)
		n->deadline = timeout;
	if (p->power_wait)
		n->dwell = wait * 1000;
	if (p->delay)
		n->delay = delay * 1000;
	if (n->delay + n->dwell >= n->deadline * 1000)
		return err_set(err, EINVAL,
			"a deadline of %llu s is too short for a delay of %llu ms and a dwell of "
			"%llu ms",
			(unsigned long long)n->deadline, (unsigned long long)n->delay,
			(unsigned long long)n->dwell);
	return 0;
}

static struct config_node *node_called(struct agent *a, const char *name)
{
	const struct config_node *n = name ? config_node(&a->config, name) : NULL;

	return n ? &a->config.nodes[n - a->config.nodes] : NULL;
}

/*
 * An alias (plug) that is the name of another node than the one the cluster means: one of the two
 * would be shot, and the other one believed dead.
 */
static int check_alias(
	const struct config_node *victim, const struct config_node *meant, struct err *err)
{
	if (!meant || meant == victim)
		return 0;
	return err_set(err, EPERM,
		"%s: is what plug says, but nodename is %s, another node of the configuration; "
		"nothing is done before it is clear who is meant",
		victim->name, meant->name);
}

int agent_find_victim(struct agent *a, struct config_node **ret, struct err *err)
{
	const struct agent_params *p = a->params;
	const char *name = p->plug ? p->plug : p->nodename;

	if (agent_is_direct(a)) {
		*ret = &a->config.nodes[0];
		return p->plug ? 0
			       : err_set(err, EINVAL, "plug is missing: the outlets of the node");
	}
	if (!name)
		return err_set(err, EINVAL, "plug is missing: the node to be fenced");
	*ret = node_called(a, name);
	if (!*ret)
		return err_set(err, ENOENT, "%.64s: is no node of the configuration", name);
	return check_alias(*ret, node_called(a, p->nodename), err);
}

static enum policy_action policy_of(enum agent_action action)
{
	switch (action) {
	case AGENT_OFF:
		return POLICY_OFF;
	case AGENT_ON:
		return POLICY_ON;
	case AGENT_REBOOT:
		return POLICY_REBOOT;
	case AGENT_MONITOR:
		return POLICY_TEST;
	default:
		return POLICY_STATUS;
	}
}

struct shoot_order agent_order(const struct agent *a, const struct config_node *victim)
{
	return (struct shoot_order){.config = &a->config,
		.victim = victim,
		.who = a->params->program,
		.reason = a->params->reason};
}

/* Without a configuration the cluster's name of the victim tells whether that is us. */
static const struct config_node *self_of(const struct agent *a, const struct config_node *victim)
{
	const char *name = a->params->nodename;

	if (!agent_is_direct(a))
		return config_self(&a->config);
	return name && conf_is_this_host(name) ? victim : NULL;
}

/* Who names a PDU himself has said what may be done; policies are of configurations. */
int agent_decide(struct agent *a, enum agent_action action, struct shoot_order *o, struct err *err)
{
	struct policy_request q = {.action = policy_of(action),
		.by = agent_is_direct(a) ? POLICY_BY_HAND : POLICY_BY_CLUSTER,
		.victim = o->victim,
		.self = self_of(a, o->victim),
		.confirmed = confirm_get(
			a->config.general.run_directory, o->victim->name, CONFIRM_ON, NULL)};
	int r = policy_decide(&q, &o->goal, err);

	if (r < 0)
		shoot_refused(o, err->text);
	return r;
}

/* Off is what counts: of a reboot whose second half failed, that is said, loudly. */
static void report(const struct shoot_result *r)
{
	if (r->fence.on_failed)
		log_error("%s", r->text);
	else if (r->unrecorded || r->confirmed)
		log_warn("%s", r->text);
	else
		log_info("%s", r->text);
}

static int switch_power(struct agent *a, struct err *err)
{
	struct config_node *victim;
	struct shoot_result result;
	struct shoot_order o;

	if (agent_find_victim(a, &victim, err) < 0 || agent_set_times(a->params, victim, err) < 0)
		return agent_fail(err);
	o = agent_order(a, victim);
	if (agent_decide(a, a->action, &o, err) < 0 || shoot(&o, &a->reactor, &result, err) < 0)
		return agent_fail(err);
	report(&result);
	return AGENT_EXIT_DONE;
}

/* What the cluster would ask for is judged, but for what only the PDUs know. */
static int validate(struct agent *a, struct err *err)
{
	const struct agent_params *p = a->params;
	struct config_node *victim;
	struct conf warnings;

	config_warn(&a->files, &a->config, &warnings);
	for (size_t i = 0; !agent_is_direct(a) && i < warnings.fault_count; i++)
		log_warn("%s", warnings.faults[i]);
	conf_done(&warnings);
	victim = &a->config.nodes[0]; /* if none is named, times are judged with any */
	if (p->plug && agent_find_victim(a, &victim, err) < 0)
		return agent_fail(err);
	return agent_set_times(p, victim, err) < 0 ? agent_fail(err) : AGENT_EXIT_DONE;
}

static int act(struct agent *a, struct err *err)
{
	switch (a->action) {
	case AGENT_STATUS:
		return agent_show_power(a, err);
	case AGENT_MONITOR:
		return agent_test_all(a, err);
	case AGENT_LIST:
	case AGENT_LIST_STATUS:
	case AGENT_HOSTS:
		return agent_list(a, err);
	case AGENT_VALIDATE_ALL:
		return validate(a, err);
	default:
		return switch_power(a, err);
	}
}

int agent_run(const struct agent_params *p)
{
	struct agent a = {.params = p};
	struct err err = {0};
	int status;

	if (!agent_find_action(p->action, &a.action)) {
		err_set(&err, EINVAL, "action %.64s: unsupported action", p->action);
		return agent_fail(&err);
	}
	if (a.action == AGENT_METADATA || a.action == AGENT_MANPAGE) {
		if (a.action == AGENT_METADATA)
			agent_print_metadata(stdout);
		else
			agent_print_help();
		return AGENT_EXIT_DONE;
	}
	if (reactor_init(&a.reactor) < 0)
		return agent_fail((err_set(&err, ENOMEM, "out of memory"), &err));
	status = load(&a, &err) < 0 ? agent_fail(&err) : act(&a, &err);
	config_free(&a.config);
	conf_done(&a.files);
	reactor_done(&a.reactor);
	return status;
}
