/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xnbd-bgctl: one command to a running xnbd-server. Exit status: 0 done, 1 failed, 2 usage, 3 not
 * yet complete.
 */
#include "command.h"
#include "log.h"
#include "options.h"

#include <stdio.h>

static int fail_usage(const struct err *err)
{
	log_error("%s", err->text);
	return BGCTL_USAGE;
}

int main(int argc, char **argv)
{
	struct bgctl_options o;
	struct err err = {0};
	int rest, status = BGCTL_DONE;

	log_name("xnbd-bgctl");
	bgctl_options_default(&o);
	if (opt_parse(&bgctl_option_set, argc, argv, &o, &rest, &err) < 0)
		return fail_usage(&err);
	if (o.help)
		opt_help(&bgctl_option_set);
	else if (o.version)
		printf("xnbd-bgctl %s\n", XNBD_VERSION);
	else if (bgctl_options_check(&o, argc - rest, argv + rest, &err) < 0)
		return fail_usage(&err);
	else
		status = command_run(&o);
	return opt_answered(status, BGCTL_FAILED);
}
