/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of lvm_iostat. */
#ifndef LVM_IOSTAT_OPTIONS_H
#define LVM_IOSTAT_OPTIONS_H

#include "opt.h"

#include <stdbool.h>

enum iostat_mode { IOSTAT_LIVE = 1, IOSTAT_DUMP };

struct iostat_options {
	int mode; /* enum iostat_mode */
	const char *name, *control;
	uint64_t interval; /* s */
	uint64_t looks;    /* 0 = until somebody ends it */
	bool exports, all, json, help, version;
};

extern const struct opt_set iostat_option_set;

/* Fills O. ON_SCREEN: standard output is a terminal. -EINVAL with a line: exit status 2. */
int iostat_options_parse(
	struct iostat_options *o, int argc, char **argv, bool on_screen, struct err *err);

#endif
