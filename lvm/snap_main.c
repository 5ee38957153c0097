/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The frame of the snapshot tools; see snap_main.h. Results go to standard output, all else to
 * standard error. A result that could not be written is a failure, as who reads it knows nothing.
 */
#include "snap_main.h"

#include "log.h"
#include "proc.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { EXIT_USAGE = 2 };

static int work(const struct snap_options *o, snap_main_fn *fn)
{
	struct toolsconf conf;
	int status = toolsconf_load(o->config, &conf) < 0 ? EXIT_USAGE : fn(o, &conf);

	toolsconf_free(&conf);
	return status;
}

int snap_main(const char *name, const struct opt_set *set, snap_main_fn *fn, int argc, char **argv)
{
	struct snap_options o;
	struct err err = {0};
	int status = 0;

	proc_fill_streams();
	signal(SIGCHLD, SIG_DFL); /* who ignores it never learns how a child has ended */
	log_name(name);
	if (snap_options_parse(&o, set, argc, argv, &err) < 0) {
		log_error("%s", err.text);
		fprintf(stderr, "Usage: %s\n", set->usage);
		return EXIT_USAGE;
	}
	log_level(o.quiet ? LOG_LEVEL_WARN : LOG_LEVEL_INFO);
	if (o.help)
		opt_help(set);
	else if (o.version)
		printf("%s %s\n", name, XNBD_VERSION);
	else
		status = work(&o, fn);
	return opt_answered(status, EXIT_FAILURE);
}
