/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lvm_iostat: what volumes, exports and clients read and write. */
#include "iostat_run.h"
#include "log.h"
#include "proc.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { EXIT_USAGE = 2 };

int main(int argc, char **argv)
{
	bool on_screen = isatty(STDOUT_FILENO);
	struct iostat_options o;
	struct err err = {0};

	proc_fill_streams();
	log_name("lvm_iostat");
	if (iostat_options_parse(&o, argc, argv, on_screen, &err) < 0) {
		log_error("%s", err.text);
		fprintf(stderr, "Usage: %s\n", iostat_option_set.usage);
		return EXIT_USAGE;
	}
	if (!o.help && !o.version)
		return iostat_run(&o, on_screen);
	if (o.help)
		opt_help(&iostat_option_set);
	else
		printf("lvm_iostat %s\n", XNBD_VERSION);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
