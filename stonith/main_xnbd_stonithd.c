/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xnbd-stonithd: audits before the day. Fencing does not need it: the command, the agents and the
 * proxy work whether it runs or not.
 */
#include "log.h"
#include "proc.h"
#include "watch_daemon.h"
#include "watch_options.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { EXIT_USAGE = 2 };

static struct watch_daemon watch;

static int fail(const struct err *err, int status)
{
	log_start_error(err->text);
	return status;
}

static int serve(const struct watch_options *o)
{
	char file[PATH_MAX];
	struct err err;
	int r;

	if (!realpath(o->config, file)) {
		err_sys(&err, errno, "%s", o->config);
		return fail(&err, EXIT_FAILURE);
	}
	/* First, as secrets that are locked in memory are not so in a child. */
	if (!o->foreground && proc_daemonize(&err) < 0)
		return fail(&err, EXIT_FAILURE);
	log_upgrade_stderr();
	r = watch_daemon_init(&watch, file);
	if (r == 0 && !o->foreground)
		log_to_syslog();
	if (r == 0)
		r = watch_daemon_run(&watch);
	watch_daemon_done(&watch);
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct watch_options o;
	struct err err = {0};

	log_name("xnbd-stonithd");
	umask(077);
	if (watch_options_parse(&o, argc, argv, &err) < 0)
		return fail(&err, EXIT_USAGE);
	if (o.help)
		opt_help(&watch_options_set);
	else if (o.version)
		printf("xnbd-stonithd %s\n", XNBD_VERSION);
	else if (o.check)
		return watch_daemon_check(o.config) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	else
		return serve(&o);
	return EXIT_SUCCESS;
}
