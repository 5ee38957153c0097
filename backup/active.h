/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which volumes are this node's at the moment, where no command says which node is the active one.
 */
#ifndef BACKUP_ACTIVE_H
#define BACKUP_ACTIVE_H

#include "config.h"

#define ACTIVE_NOT "not active on this node"

/* 1; 0: V is active elsewhere or nowhere; or an error: there is no such volume. With active-if, and
 * of what is no logical volume, it is always 1. */
int active_here(const struct config *c, const struct config_volume *v, struct err *err);

#endif
