/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What xnbd-stonith does. Exit statuses: 0 done and verified, 1 not, or not certain. Of status: 0
 * on, 2 off, 1 not known; it never says 2 unless every outlet was read as off. Of health: 0 all
 * well, 1 there are findings, 3 the daemon does not run.
 */
#ifndef STONITH_COMMAND_H
#define STONITH_COMMAND_H

#include "config.h"
#include "options.h"

int command_run(const struct options *o);

/* For the parts: one command each, with its exit status. */
int command_map(const struct options *o, const struct config *c);
int command_audit(const struct options *o, const struct config *c);
int command_confirm(const struct options *o, const struct config *c);
int command_list(const struct options *o, const struct config *c);
int command_health(const struct options *o, const struct config *c);

/* Says it once; 1. */
int command_fail(const struct err *err);
/* Who we are, for the audit log: "xnbd-stonith (uid 0)". */
void command_who(char *ret, size_t room);

#endif
