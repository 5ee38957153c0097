/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of the agent's parameters. A row is an option of the command line, a name on standard
 * input, and an entry of the metadata; names of the past are rows of their own, marked as such.
 * Letters and names are those that fence agents for PDUs have in common, so that a cluster's
 * resource and an old command line go on with this agent; what has no meaning here is taken and has
 * no effect.
 */
#include "agent_table.h"

#include "agent.h"
#include "util.h"

#define AT(field) offsetof(struct agent_params, field)

static const char *const versions[] = {"1", "2c", "3", NULL};
static const char *const levels[] = {"noAuthNoPriv", "authNoPriv", "authPriv", NULL};
static const char *const auths[] = {"MD5", "SHA", "SHA-224", "SHA-256", "SHA-384", "SHA-512", NULL};
static const char *const privs[] = {"DES", "AES", "AES-192", "AES-256", NULL};

const struct agent_row agent_table[] = {
	{"action", 'o', AT(action), AGENT_TEXT, "reboot", .required = true,
		.help = "what to do: off, on, reboot, status, list, list-status, monitor, "
			"validate-all, metadata, manpage"},
	{"plug", 'n', AT(plug), AGENT_TEXT, .obsoletes = "port",
		.help = "node of stonith.conf; with ip: outlets of that PDU, separated by "
			"plug_separator"},
	{"port", 0, AT(plug), AGENT_TEXT, .now = "plug", .help = "the same as plug"},
	{"nodename", 0, AT(nodename), AGENT_TEXT,
		.help = "name of the node as the cluster gives it, used if there is no plug"},
	{"config", 0, AT(config), AGENT_TEXT, "/etc/xnbd/stonith.conf",
		.help = "configuration with nodes, outlets and PDUs"},
	{"reason", 0, AT(reason), AGENT_TEXT, .help = "goes into the audit log"},
	{"ip", 'a', AT(ip), AGENT_TEXT, .obsoletes = "ipaddr",
		.help = "address of a PDU (no name), in place of a configuration"},
	{"ipaddr", 0, AT(ip), AGENT_TEXT, .now = "ip", .help = "the same as ip"},
	{"ipport", 'u', AT(ipport), AGENT_INTEGER, "161", .help = "with ip: UDP port"},
	{"profile", 0, AT(profile), AGENT_TEXT,
		.help = "with ip: family of the PDU, see stonith.conf(5); otherwise the one that "
			"its sysObjectID belongs to"},
	{"plug_separator", 0, AT(plug_separator), AGENT_TEXT, ",",
		.help = "with ip: what separates outlets in plug"},
	{"switch", 's', AT(unit), AGENT_TEXT,
		.help = "with ip: number in front of each outlet's, for PDUs of several units"},
	{"snmp_version", 'd', AT(snmp_version), AGENT_SELECT, "1", .choices = versions,
		.help = "with ip: version of SNMP"},
	{"community", 'c', AT(community), AGENT_TEXT, "private", .help = "with ip: SNMP 1 and 2c"},
	{"username", 'l', AT(username), AGENT_TEXT, .obsoletes = "login",
		.help = "with ip: user of SNMP 3"},
	{"login", 0, AT(username), AGENT_TEXT, .now = "username", .help = "the same as username"},
	{"password", 'p', AT(password), AGENT_TEXT, .obsoletes = "passwd",
		.help = "with ip: passphrase of SNMP 3 for authentication; on a command line "
			"everybody can read it"},
	{"passwd", 0, AT(password), AGENT_TEXT, .now = "password", .help = "the same as password"},
	{"password_script", 'S', AT(password_script), AGENT_TEXT, .obsoletes = "passwd_script",
		.help = "with ip: program that prints the password"},
	{"passwd_script", 0, AT(password_script), AGENT_TEXT, .now = "password_script",
		.help = "the same as password_script"},
	{"snmp_sec_level", 'E', AT(sec_level), AGENT_SELECT, "authPriv", .choices = levels,
		.help = "with ip: security level of SNMP 3"},
	{"snmp_auth_prot", 'b', AT(auth_prot), AGENT_SELECT, "SHA-256", .choices = auths,
		.help = "with ip: authentication of SNMP 3"},
	{"snmp_priv_prot", 'B', AT(priv_prot), AGENT_SELECT, "AES", .choices = privs,
		.help = "with ip: encryption of SNMP 3"},
	{"snmp_priv_passwd", 'P', AT(priv_passwd), AGENT_TEXT,
		.help = "with ip: passphrase of SNMP 3 for encryption; as with password"},
	{"snmp_priv_passwd_script", 'R', AT(priv_passwd_script), AGENT_TEXT,
		.help = "with ip: program that prints it"},
	{"power_timeout", 0, AT(power_timeout), AGENT_SECONDS,
		.help = "for the whole action; otherwise the deadline of the configuration, or 20"},
	{"power_wait", 0, AT(power_wait), AGENT_SECONDS,
		.help = "between the two readings that must both be off; otherwise the dwell of the "
			"configuration, or 4"},
	{"shell_timeout", 0, AT(shell_timeout), AGENT_SECONDS, "1",
		.help = "with ip: for the answer to one request"},
	{"delay", 0, AT(delay), AGENT_SECONDS, "0",
		.help = "before off and reboot, so that of two nodes that shoot at each other one "
			"is faster"},
	{"separator", 'C', AT(separator), AGENT_TEXT, ",",
		.help = "between the columns of list and list-status"},
	{"login_timeout", 0, AT(unused), AGENT_SECONDS, .help = AGENT_NO_EFFECT},
	{"retry_on", 0, AT(unused), AGENT_INTEGER, .help = AGENT_NO_EFFECT},
	{"stonith_status_sleep", 0, AT(unused), AGENT_SECONDS, .help = AGENT_NO_EFFECT},
	{"disable_timeout", 0, AT(unused), AGENT_TEXT,
		.help = AGENT_NO_EFFECT ": the deadline always holds"},
	{"debug_file", 'D', AT(unused), AGENT_TEXT, .help = AGENT_NO_EFFECT ", see verbose"},
	{"verbose", 'v', AT(verbose), AGENT_FLAG, .help = "log every step"},
	{"verbose_level", 0, AT(unused), AGENT_INTEGER, .help = AGENT_NO_EFFECT ", see verbose"},
	{"quiet", 'q', AT(quiet), AGENT_FLAG,
		.help = "nothing on standard error; the journal has it, if there is one"},
	{"help", 'h', AT(help), AGENT_FLAG, .help = "show this text"},
	{"version", 'V', AT(version), AGENT_FLAG, .help = "show the version"},
};
const size_t agent_rows = ARRAY_LEN(agent_table);
