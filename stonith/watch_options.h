/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of xnbd-stonithd. */
#ifndef STONITH_WATCH_OPTIONS_H
#define STONITH_WATCH_OPTIONS_H

#include "opt.h"

#include <stdbool.h>

struct watch_options {
	const char *config;
	bool foreground, check, help, version;
};

extern const struct opt_set watch_options_set;

/* Fills O. -EINVAL with a line for the user: usage. */
int watch_options_parse(struct watch_options *o, int argc, char **argv, struct err *err);

#endif
