/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command "upgrade": this process becomes another program, as a rule a newer xnbd-wrapper, and
 * no client notices. The steps: the new program looks at configuration and state (--upgrade-check);
 * commands under way are waited for; then exec (handover.h). Until that everything goes on as
 * usual, and after a failure too.
 */
#ifndef WRAPPER_UPGRADE_H
#define WRAPPER_UPGRADE_H

#include "control.h"

struct upgrade;

extern const struct control_command upgrade_commands[]; /* the last row has no name */

/* The connection C is gone. */
void upgrade_gone(struct master *m, const struct ctl_conn *c);
/* At the end of the master. */
void upgrade_end(struct master *m);

#endif
