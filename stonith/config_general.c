/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Section `stonith`, which may be left out: what holds for all nodes, and where files are. Texts
 * that are not given are filled in, so that nobody else has to know the defaults.
 */
#include "config_inner.h"

#include "conf_objects.h"
#include "util.h"

#include <stdio.h>

enum { SOCKET_BYTES = 107, RUN_BYTES = 90, PING_MAX = 8 };

#define AT(field) offsetof(struct config_general, field)

static const struct key keys[] = {
	{"self", KEY_TEXT, AT(self), 1, CONFIG_NAME_MAX, 0, NULL, 1, false,
		"The node that this host is; otherwise the one with the host's name, with or "
		"without its domain. A node never shoots itself."},
	{"audit-log", KEY_PATH, AT(audit_log), 1, CONFIG_PATH_BYTES, 0, NULL, 1, false,
		"The log of all shots; otherwise /var/lib/xnbd/stonith.audit."},
	{"run-directory", KEY_PATH, AT(run_directory), 1, RUN_BYTES, 0, NULL, 1, false,
		"Folder for locks and leases, for root alone; otherwise /run/xnbd-stonith. Made if "
		"it is missing."},
	{"control", KEY_PATH, AT(control), 1, SOCKET_BYTES, 0, NULL, 1, false,
		"Control socket of xnbd-stonithd; otherwise control in the run directory."},
	{"deadline", KEY_NUMBER, AT(deadline), 1, 600, 20, NULL, 1, false,
		"Seconds after which an action has failed; otherwise 20. At most two thirds of what "
		"the cluster software allows, so that it can try again."},
	{"dwell", KEY_NUMBER, AT(dwell), 0, 60000, 4000, NULL, 1, false,
		"Milliseconds between the two looks that must find all outlets off, longer than "
		"power supplies hold; otherwise 4000."},
	{"on-pause", KEY_NUMBER, AT(on_pause), 0, 60000, 1000, NULL, 1, false,
		"Milliseconds between off and on of a reboot; otherwise 1000."},
	{"off-lease", KEY_NUMBER, AT(off_lease), 0, 86400, 60, NULL, 1, false,
		"Seconds after a shot in which nobody but who asked for it may switch the node on; "
		"otherwise 60."},
	{"ping", KEY_TEXTS, AT(ping), 1, CONFIG_TEXT_BYTES, 0, NULL, 1, false,
		"Addresses, 8 at most, of the network that is served: if none of them answers this "
		"host is the one that is cut off, and does not shoot for the cluster."},
	{"ping-wait", KEY_NUMBER, AT(ping_wait), 100, 60000, 2000, NULL, 1, false,
		"Milliseconds to wait for their answers; otherwise 2000."},
	{"audit-interval", KEY_NUMBER, AT(audit_interval), 1, 86400, 300, NULL, 1, false,
		"Seconds between two looks of xnbd-stonithd at all outlets and PDUs; otherwise 300."},
	{"repair-own", KEY_FLAG, AT(repair_own), 0, 0, 0, NULL, 1, false,
		"Does xnbd-stonithd switch outlets of this host on again that it finds off?"},
};
const struct key_set config_general_keys = {keys, ARRAY_LEN(keys)};

static void fill_in(struct conf *f, struct config_general *g)
{
	char control[CONFIG_PATH_BYTES + sizeof("/control")];

	if (!conf_fill_in(f, CONFIG_DEFAULT, &g->audit_log, CONFIG_AUDIT_LOG) ||
		!conf_fill_in(f, CONFIG_DEFAULT, &g->run_directory, CONFIG_RUN_DIRECTORY))
		return;
	snprintf(control, sizeof(control), "%s/control", g->run_directory);
	conf_fill_in(f, CONFIG_DEFAULT, &g->control, control);
}

/* S: NULL = there is no such section. */
void config_read_general(struct conf *f, const struct conf_section *s, struct config *c)
{
	struct config_general *g = &c->general;

	key_init_all(&config_general_keys, g);
	if (s) {
		conf_apply(f, s, g);
		if (g->ping.count > PING_MAX)
			conf_fault(f, s, "ping", "ping: more than %d addresses", PING_MAX);
		for (size_t i = 0; i < g->ping.count; i++)
			config_check_address(f, s, "ping", g->ping.items[i]);
	}
	fill_in(f, g);
}

/* This host. */

void config_find_self(struct conf *f, const struct conf_section *s, struct config *c)
{
	if (c->general.self) {
		c->self = config_node(c, c->general.self);
		if (!c->self)
			config_no_node(f, s, "self", c, c->general.self);
		return;
	}
	for (size_t i = 0; i < c->node_count && !c->self; i++) {
		if (conf_is_this_host(c->nodes[i].name))
			c->self = &c->nodes[i];
	}
}

const struct config_node *config_self(const struct config *c)
{
	return c->self;
}
