/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * external/xnbd: the plugin for cluster-glue's stonith(8) and heartbeat. `xnbd on|off|reset HOST`
 * and `xnbd status`, parameters are in the environment; its one parameter is the path of
 * stonith.conf(5). What it does is what fence_xnbd does.
 */
#include "agent.h"
#include "agent_log.h"
#include "agent_run.h"
#include "log.h"
#include "util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME "external/xnbd"

struct verb {
	const char *name;
	const char *action; /* of fence_xnbd */
	bool host;
};

static const struct verb verbs[] = {
	{"on", "on", true},
	{"off", "off", true},
	{"reset", "reboot", true},
	{"gethosts", "gethosts", false},
	{"status", "monitor", false},
};

/* What it says of itself; lines of logs are made of these, so they have no newline but the last. */
static const char *const infos[][2] = {
	{"getconfignames", "config\n"},
	{"getinfo-devid", "xnbd-stonith"},
	{"getinfo-devname", "xnbd-stonith: all outlets of a node, on several SNMP PDUs"},
	{"getinfo-devdescr",
		"Switches off every outlet of a node, on all its PDUs at the same time, and reports "
		"success only when each of them was read back as off."},
	{"getinfo-devurl", "man:xnbd-stonith(8)"},
	{"getinfo-xml",
		"<parameters><parameter name=\"config\" unique=\"1\" required=\"0\">"
		"<content type=\"string\" default=\"/etc/xnbd/stonith.conf\"/>"
		"<shortdesc lang=\"en\">configuration</shortdesc>"
		"<longdesc lang=\"en\">Path of stonith.conf(5), with nodes, outlets and "
		"PDUs.</longdesc></parameter></parameters>\n"},
};

/* Of on, off and reset cluster-glue logs standard output; nobody may read the other one. */
static void to_both(enum log_level level, const struct log_subject *about, const char *text)
{
	(void)about;
	agent_log_write(STDERR_FILENO, NAME, level, text);
	agent_log_write(STDOUT_FILENO, NAME, level, text);
}

static void to_stderr(enum log_level level, const struct log_subject *about, const char *text)
{
	(void)about;
	agent_log_write(STDERR_FILENO, NAME, level, text);
}

static int usage(void)
{
	log_error("usage: xnbd on|off|reset HOST | gethosts | status | getconfignames | "
		  "getinfo-devid|devname|devdescr|devurl|xml");
	return EXIT_FAILURE;
}

static int act(const struct verb *verb, const char *host)
{
	static struct agent_params params = {.program = NAME};
	const char *config = getenv("config");

	if (verb->host)
		log_to_function(to_both);
	params.action = verb->action;
	params.plug = verb->host ? host : NULL;
	params.config = config && *config ? config : NULL;
	return agent_run(&params);
}

int main(int argc, char **argv)
{
	int status = -1;

	agent_start();
	log_name(NAME);
	log_to_function(to_stderr);
	for (size_t i = 0; argc == 2 && i < ARRAY_LEN(infos); i++) {
		if (strcmp(argv[1], infos[i][0]) == 0) {
			fputs(infos[i][1], stdout);
			status = EXIT_SUCCESS;
		}
	}
	for (size_t i = 0; status < 0 && argc > 1 && i < ARRAY_LEN(verbs); i++) {
		if (strcmp(argv[1], verbs[i].name) == 0 && argc == (verbs[i].host ? 3 : 2))
			status = act(&verbs[i], argv[2]);
	}
	if (status < 0)
		return usage();
	return fflush(stdout) != 0 && status == EXIT_SUCCESS ? EXIT_FAILURE : status;
}
