/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xnbd-confsync: the command for administrators, the daemon, and the forced command of the peer. */
#include "command.h"
#include "log.h"
#include "options.h"
#include "proc.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int main(int argc, char **argv)
{
	struct options o;
	struct err err = {0};
	int status = 0;

	proc_fill_streams();
	log_name("xnbd-confsync");
	umask(022);
	if (options_parse(&o, argc, argv, &err) < 0) {
		log_error("%s", err.text);
		fprintf(stderr, "Usage: %s\n", options_set.usage);
		return options_usage_status(argc, argv);
	}
	if (o.help)
		opt_help(&options_set);
	else if (o.version)
		printf("xnbd-confsync %s\n", XNBD_VERSION);
	else
		status = command_run(&o);
	return opt_answered(status, EXIT_FAILURE);
}
