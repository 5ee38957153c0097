/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xnbd-stonith: the command for administrators, and the proxy's forced command. */
#include "agent_log.h"
#include "command.h"
#include "log.h"
#include "options.h"
#include "proxy_main.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	struct options o;
	struct err err = {0};
	int status = 0;

	agent_start();
	log_name("xnbd-stonith");
	if (options_parse(&o, argc, argv, &err) < 0) {
		log_error("%s", err.text);
		fprintf(stderr, "Usage: %s\n", options_set.usage);
		return options_usage_status(argc, argv);
	}
	if (o.help)
		opt_help(&options_set);
	else if (o.version)
		printf("xnbd-stonith %s\n", XNBD_VERSION);
	else if (o.proxy)
		status = proxy_main(o.config, o.proxy);
	else
		status = command_run(&o);
	return opt_answered(status, EXIT_FAILURE);
}
