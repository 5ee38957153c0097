/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands of the administrator, for /bin/sh, with a time limit. */
#ifndef BACKUP_HOOK_H
#define BACKUP_HOOK_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stop;

/*
 * Runs COMMAND to its end, at most SECONDS. INPUT (LEN bytes) may be NULL. 0; -EREMOTEIO: exit
 * status not 0; -ETIMEDOUT, -ECANCELED: it was ended. WHAT begins the line of an error.
 */
int hook_run(const char *what, const char *command, uint64_t seconds, struct stop *stop,
	const char *input, size_t len, struct err *err);

/* Is this the active node, as COMMAND says? 1, 0, or -errno: nobody knows. */
int hook_is_active(const char *command, struct stop *stop, struct err *err);

/* Is the run to end? Asks now whether this node is still active, for who cannot wait until STOP
 * asks the next time. */
bool hook_is_lost(struct stop *stop);

#endif
