/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this run is to do: defaults, over them nfs.conf, over that the command line.
 * Texts live as long as the struct nfsconf and argv they come from.
 */
#ifndef SM_NOTIFY_SETTINGS_H
#define SM_NOTIFY_SETTINGS_H

#include "err.h"
#include "nfsconf.h"
#include "options.h"

#include <stdbool.h>
#include <stdint.h>

/* How the program ends. */
enum {
	EXIT_TOLD = 0,   /* all peers told, or nobody to tell, or told before in this boot */
	EXIT_FAILED = 1, /* usage, a failure, or a peer was not told */
	EXIT_BUSY = 3,   /* another sm-notify is at work on the same directory */
};

#ifndef SETTINGS_DIRECTORY /* CMake: SM_NOTIFY_STATE_DIR */
#define SETTINGS_DIRECTORY "/var/lib/nfs"
#endif
#define SETTINGS_CONFIG    "/etc/nfs.conf"
#define SETTINGS_RUN_DIR   "/run"
#define SETTINGS_PROC_ROOT "/proc"

struct settings {
	/* what to do */
	bool list;       /* show the records, end */
	bool dry_run;    /* show who would be told how, end */
	bool no_consume; /* tell, but leave all records where they are */
	bool force;      /* even if it was done since boot */
	bool update_state;
	bool kernel_state; /* write nsm_local_state */
	bool lift_grace;   /* if there is nobody to tell */
	/* how */
	uint64_t retry_ms;         /* give up after this long; 0 = never */
	uint16_t outgoing_port;    /* 0 = any reserved one, else any */
	const char *outgoing_addr; /* -v: address or name; NULL = none */
	const char *directory;     /* parent of sm, sm.bak, state */
	/* what is seen */
	bool foreground; /* stay there, log to stderr */
	bool debug;
	bool json; /* the summary at the end, --list and --dry-run */
	/* for tests */
	uint16_t rpcbind_port;
	const char *run_dir;
	const char *proc_root;
};

/*
 * Values of CONF that make no sense are reported in the log and replaced by the default: who cannot
 * be told of a reboot because of a typing error loses locks. Bad options were refused before.
 */
void settings_build(struct settings *s, const struct options *o, const struct nfsconf *conf);

#endif
