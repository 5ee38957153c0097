/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of xnbd-bgctl: its table, and which option goes with which command. */
#ifndef BGCTL_OPTIONS_H
#define BGCTL_OPTIONS_H

#include "opt.h"

#include <stdbool.h>

enum bgctl_action {
	BGCTL_NONE, /* none given; bgctl_options_check() makes it BGCTL_QUERY */
	BGCTL_QUERY,
	BGCTL_CACHE_ALL,
	BGCTL_SWITCH,
	BGCTL_RECONNECT,
	BGCTL_SNAPSHOT,
	BGCTL_LIST_SNAPSHOTS,
	BGCTL_DROP_SNAPSHOT,
	BGCTL_PAUSE,
	BGCTL_RESUME,
	BGCTL_VERIFY,
};

/* How the program ends. */
enum bgctl_exit {
	BGCTL_DONE,
	BGCTL_FAILED,
	BGCTL_USAGE,
	BGCTL_INCOMPLETE, /* nothing is wrong, but it is not all done */
};

struct bgctl_options {
	int action; /* enum bgctl_action */
	bool json, progress, idle, no_wait, force, wait, help, version;
	uint64_t rate;               /* bytes/s, 0 = no limit, UINT64_MAX = not given */
	uint64_t blocks_per_request; /* 0 = not given */
	uint64_t samples;            /* blocks, 0 = all */
	const char *exportname, *to; /* NULL = not given */
	/* operands, from bgctl_options_check() on */
	const char *control;
	const char *uri;         /* of the new origin, or NULL and these two: */
	const char *host, *port; /* port: a number or a service's name */
	uint64_t snapshot;       /* id */
};

extern const struct opt_set bgctl_option_set;
void bgctl_options_default(struct bgctl_options *o);

/* Takes the operands in and refuses what does not belong together: 0 or -EINVAL. */
int bgctl_options_check(struct bgctl_options *o, int count, char **operands, struct err *err);

#endif
