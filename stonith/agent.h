/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parameters of the fence agent fence_xnbd, as Pacemaker and its relatives give them: on standard
 * input as "name=value" lines, or on the command line as options (the agent API of ClusterLabs).
 * One table gives both, the metadata, and --help.
 *
 * Two ways to say whom to fence: `plug` (or `nodename`) is a node of stonith.conf(5), or, with
 * `ip`, `plug` lists outlets of that PDU, as with other fence agents, and no configuration is read.
 */
#ifndef STONITH_AGENT_H
#define STONITH_AGENT_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { AGENT_INPUT_MAX = 64 * 1024 };

enum agent_action {
	AGENT_OFF,
	AGENT_ON,
	AGENT_REBOOT,
	AGENT_STATUS,
	AGENT_MONITOR,
	AGENT_LIST,
	AGENT_LIST_STATUS,
	AGENT_METADATA,
	AGENT_VALIDATE_ALL,
	AGENT_MANPAGE,
	AGENT_HOSTS, /* list for external/xnbd: names alone */
};

/* Texts as given, NULL = not given or empty; what is a number is still text. Valid as long as ARGV
 * and INPUT. */
struct agent_params {
	const char *program; /* who we are, for the audit log */
	const char *action, *plug, *nodename, *config, *reason;
	const char *ip, *ipport, *profile, *plug_separator, *unit;
	const char *snmp_version, *community, *username, *password, *password_script;
	const char *sec_level, *auth_prot, *priv_prot, *priv_passwd, *priv_passwd_script;
	const char *power_timeout, *power_wait, *shell_timeout, *delay;
	const char *separator, *unused;
	bool verbose, quiet, help, version;
	char input[AGENT_INPUT_MAX];
};

/* With options; -EINVAL with a line for the user. Operands are refused. */
int agent_parse_argv(struct agent_params *p, int argc, char **argv, struct err *err);

/*
 * From IN to its end. Blank lines and those that begin with '#' do not count, the last value of a
 * name does: all that stands behind the first '=', without blanks at its end and without a pair of
 * double quotes around it. Unknown names, and lines without '=', are the cluster's business: they
 * are told, and passed over. -EINVAL: too much, or a zero byte.
 */
int agent_parse_input(struct agent_params *p, FILE *in, struct err *err);
/* The same for TEXT, which is changed and kept. */
void agent_parse_text(struct agent_params *p, char *text);

/* In any case of letters, "meta-data" too; "reboot" if none is given. False: no such action. */
bool agent_find_action(const char *name, enum agent_action *ret);

/* For both parsers: an empty value is none, as forms of clusters send what was not filled in. */
void agent_drop_empty(struct agent_params *p);

/* XML that fits the schema of fence agents. */
void agent_print_metadata(FILE *out);
void agent_print_help(void);

#endif
