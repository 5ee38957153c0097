/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What xnbd-backup does, and its exit statuses. Errors are one line each, on stderr. */
#ifndef BACKUP_COMMAND_H
#define BACKUP_COMMAND_H

#include "config.h"
#include "options.h"

enum {
	COMMAND_DONE = 0,    /* or nothing to do */
	COMMAND_FAILED = 1,  /* a volume, or all of it */
	COMMAND_USAGE = 2,   /* or the configuration has faults */
	COMMAND_BUSY = 3,    /* another run is going on */
	COMMAND_STOPPED = 4, /* by a signal, by the time limit, or as the node is active no more */
};

/* Of `status`, as Nagios and its like want it. */
enum { NAGIOS_OK = 0, NAGIOS_WARNING = 1, NAGIOS_CRITICAL = 2, NAGIOS_UNKNOWN = 3 };

int command_run(const struct options *o);

/* For the parts: one command each, with its exit status. */
int command_copy(const struct options *o, struct config *c);
int command_verify(const struct options *o, struct config *c);
int command_status(const struct options *o, struct config *c);
int command_list(const struct options *o, struct config *c);

/* Says it once; STATUS. */
int command_fail(const struct err *err, int status);

/* Is V among the operands, or are there none? */
bool command_wants(const struct options *o, const struct config_volume *v);
/* Each operand must be a volume of C. */
int command_check_names(const struct options *o, const struct config *c, struct err *err);

/* With `exports` set: adds those of the wrapper. */
int command_add_exports(struct config *c, struct err *err);

#endif
