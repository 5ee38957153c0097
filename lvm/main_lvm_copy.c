/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lvm_copy: the data mover. Signals only set a flag, so that what was written can be resumed. */
#include "copy_command.h"
#include "log.h"
#include "proc.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static atomic_bool stop;

static void on_signal(int number)
{
	(void)number;
	atomic_store(&stop, true);
}

static void catch_signals(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction end = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND};

	/* The second one ends us at once: a disk may never answer. */
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (!proc_is_ignored(numbers[i]))
			sigaction(numbers[i], &end, NULL);
	}
	signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
	struct copy_options o;
	struct err err = {0};
	int status = 0;

	proc_fill_streams();
	log_name("lvm_copy");
	if (copy_options_parse(&o, argc, argv, &err) < 0) {
		log_error("%s", err.text);
		fprintf(stderr, "Usage: %s\n", copy_options_set.usage);
		return 2;
	}
	signal(SIGCHLD, SIG_DFL); /* who ignores it never learns how a child has ended */
	if (o.serve)
		signal(SIGPIPE, SIG_IGN); /* others end it: a crash does no harm */
	else
		catch_signals();
	if (o.help)
		opt_help(&copy_options_set);
	else if (o.version)
		printf("lvm_copy %s\n", XNBD_VERSION);
	else
		status = copy_command(&o, &stop);
	return opt_answered(status, EXIT_FAILURE);
}
