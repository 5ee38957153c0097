/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What xnbd-confsync does, and its exit statuses. Several sets: the worst of them, where held is
 * worse than a failure, and that worse than the rest. Errors are one line each, on stderr, with the
 * set's name.
 */
#ifndef CONFSYNC_COMMAND_H
#define CONFSYNC_COMMAND_H

#include "config.h"
#include "options.h"
#include "state.h"

enum {
	COMMAND_DONE = 0,    /* or nothing to do; status: in step */
	COMMAND_FAILED = 1,  /* status: cannot tell */
	COMMAND_USAGE = 2,   /* or the configuration has faults */
	COMMAND_PENDING = 3, /* there are changes here that the peer has not */
	COMMAND_BEHIND = 4,  /* the peer had something newer, or a transaction is in doubt */
	COMMAND_HELD = 5,    /* held, drift, refused: somebody is to look */
};

int command_run(const struct options *o);
int command_worse(int a, int b);

/* For the parts: one command each, with its exit status. */
int command_status(const struct options *o, const struct config *c);
int command_precondition(const struct options *o, const struct config *c);
int command_sync(const struct options *o, const struct config *c);
int command_diff(const struct options *o, const struct config *c);
int command_hold(const struct options *o, const struct config *c);
int command_history(const struct options *o, const struct config *c);
int command_show(const struct options *o, const struct config *c);
int command_cat(const struct options *o, const struct config *c);
int command_check(const struct options *o, const struct config *c);
int command_recover(const struct options *o, const struct config *c);
/* Without a configuration that is whole: C = NULL. */
int command_init(const struct options *o, const struct config *c);
int command_import(const struct options *o);

/* Says it once; COMMAND_FAILED. SET may be NULL. */
int command_fail(const struct config_set *set, const struct err *err);

struct command_sets {
	const struct config_set *items[CONFIG_SETS_MAX];
	size_t count;
};
/* The operands from FIRST on; none: all sets but local ones. -ENOENT: no such set, -EINVAL: local.
 */
int command_sets(const struct options *o, const struct config *c, size_t first,
	struct command_sets *ret, struct err *err);

/* The set that the first operand names, its state opened. If not COMMAND_DONE, it was said why. */
int command_open(const struct options *o, const struct config *c, struct state *ret);

#endif
