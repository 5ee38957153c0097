/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of xnbd-backup. */
#ifndef BACKUP_OPTIONS_H
#define BACKUP_OPTIONS_H

#include "opt.h"

#include <stdbool.h>

enum options_command {
	OPTIONS_RUN,
	OPTIONS_STATUS,
	OPTIONS_VERIFY,
	OPTIONS_LIST,
	OPTIONS_PLAN,
	OPTIONS_CHECK,
	OPTIONS_STOP,
	OPTIONS_COMMANDS,
};

struct options {
	enum options_command command;
	char *const *operands; /* names of volumes */
	size_t operand_count;
	const char *config;
	const char *control; /* plan; NULL = as configured */
	const char *group;   /* plan */
	bool force, dry_run, quiet, json;
	bool help, version;
};

extern const struct opt_set options_set;

/* Fills O. -EINVAL with a line for the user: usage. */
int options_parse(struct options *o, int argc, char **argv, struct err *err);

/* The status of a usage error: monitoring is to see that it is told nothing. */
int options_usage_status(int argc, char **argv);

#endif
