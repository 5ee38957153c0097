/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of sm-notify as given; what it means together with nfs.conf: settings.h. */
#ifndef SM_NOTIFY_OPTIONS_H
#define SM_NOTIFY_OPTIONS_H

#include "opt.h"

#include <stdbool.h>

enum { OPTIONS_NOT_GIVEN, OPTIONS_YES, OPTIONS_NO };

struct options {
	bool debug, foreground, force, no_update_state, no_kernel_state;
	bool dry_run, list, no_consume, json, help, version;
	int lift_grace;                        /* OPTIONS_... */
	uint64_t retry_minutes, retry_seconds; /* UINT64_MAX = not given */
	uint64_t outgoing_port, rpcbind_port;  /* 0 = not given */
	const char *directory, *outgoing_addr, *config, *run_dir, *proc_root; /* NULL = not given */
};

extern const struct opt_set options_set;

/* Fills O from the command line. -EINVAL with a line for the user: usage. */
int options_parse(struct options *o, int argc, char **argv, struct err *err);

#endif
