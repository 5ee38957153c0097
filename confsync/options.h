/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of xnbd-confsync. */
#ifndef CONFSYNC_OPTIONS_H
#define CONFSYNC_OPTIONS_H

#include "opt.h"

#include <stdbool.h>

enum options_command {
	OPTIONS_STATUS,
	OPTIONS_SYNC,
	OPTIONS_PUSH,
	OPTIONS_PULL,
	OPTIONS_DIFF,
	OPTIONS_HOLD,
	OPTIONS_RESOLVE,
	OPTIONS_HISTORY,
	OPTIONS_ROLLBACK,
	OPTIONS_SHOW,
	OPTIONS_CAT,
	OPTIONS_CHECK,
	OPTIONS_RECOVER,
	OPTIONS_INIT,
	OPTIONS_IMPORT_LIST,
	OPTIONS_FENCED,
	OPTIONS_DAEMON,
	OPTIONS_COMMANDS,
};

enum options_side { OPTIONS_NO_SIDE, OPTIONS_MINE, OPTIONS_THEIRS };

struct options {
	enum options_command command;
	char *const *operands; /* what stands behind the command */
	size_t operand_count;
	const char *config, *serve;
	const char *generation; /* diff; NULL = with the peer */
	const char *set;        /* import-list; NULL = "imported" */
	const char *root;       /* import-list; NULL = "/" */
	int side;               /* resolve: enum options_side */
	uint64_t timeout;       /* s, of a conversation; 0 = as configured */
	bool json, dry_run, quiet, verbose, full;
	bool peer, nagios, precondition;     /* status */
	bool from_here;                      /* push */
	bool secret;                         /* cat */
	bool recursive, skip_folders, from0; /* import-list */
	bool help, version;
};

extern const struct opt_set options_set;

/* Fills O. -EINVAL with a line for the user: usage. */
int options_parse(struct options *o, int argc, char **argv, struct err *err);
const char *options_command_name(enum options_command c);

/* The status of a usage error: monitoring is to see that it is told nothing. */
int options_usage_status(int argc, char **argv);

#endif
