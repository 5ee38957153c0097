/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of xnbd-stonith. */
#ifndef STONITH_OPTIONS_H
#define STONITH_OPTIONS_H

#include "opt.h"

#include <stdbool.h>

enum options_command {
	OPTIONS_OFF,
	OPTIONS_ON,
	OPTIONS_REBOOT,
	OPTIONS_STATUS,
	OPTIONS_LIST,
	OPTIONS_VERIFY_MAP,
	OPTIONS_AUDIT,
	OPTIONS_CONFIRM,
	OPTIONS_HEALTH,
	OPTIONS_COMMANDS,
};

struct options {
	enum options_command command;
	const char *operand;   /* a node, or the first file; NULL = none given */
	char *const *operands; /* that and all behind it */
	size_t operand_count;
	const char *config, *reason, *proxy, *known;
	uint64_t deadline; /* s, 0 = as configured */
	uint64_t lines, minutes;
	bool json, force, on, withdraw, help, version;
};

extern const struct opt_set options_set;

/* Fills O. -EINVAL with a line for the user: usage. */
int options_parse(struct options *o, int argc, char **argv, struct err *err);

/* The status of a usage error: with "status" among the words 2 would say "off". */
int options_usage_status(int argc, char **argv);

#endif
