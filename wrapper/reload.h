/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading the configuration file again, and carrying out what it says, all or nothing: faults in
 * the file, names that others have, and clients in the way of what goes are found out first.
 *
 * The order is: the file is read and judged; servers are asked for the sizes of their images
 * (nothing waits meanwhile); a plan (plan.h) is made of what there is by then, and shown; it is
 * carried out in one turn; servers take new sizes; those that were to end have ended.
 */
#ifndef WRAPPER_RELOAD_H
#define WRAPPER_RELOAD_H

#include <stdbool.h>

#include "ctl.h"
#include "plan.h"

struct master;

struct reload_wish {
	enum plan_way way;
	bool dry_run;
};

/*
 * C gets the answer, now or later; NULL = the log has it. One at a time: C is refused while another
 * one is under way, and without C it is done once more after that.
 */
void reload_start(struct master *m, struct ctl_conn *c, const struct reload_wish *wish);

/* The connection C is gone. */
void reload_gone(struct master *m, struct ctl_conn *c);
/* At the end of the master. */
void reload_end(struct master *m);

#endif
