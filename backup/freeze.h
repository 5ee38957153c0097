/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Holding still who uses a volume while its snapshot is made. The one who thaws is a process of its
 * own, started before anything is frozen: it thaws when it is told to, when the time is up, and
 * when we are gone, even by SIGKILL.
 */
#ifndef BACKUP_FREEZE_H
#define BACKUP_FREEZE_H

#include "config.h"

#include <stdbool.h>
#include <sys/types.h>

struct stop;

struct freeze {
	pid_t guard;    /* 0 = nothing is frozen */
	int fd;         /* to the guard */
	uint64_t until; /* ms: the guard's time is up, or about to be */
	struct stop *stop;
};

/* Runs the command `freeze`. If that fails it was thawed again. No-op without one. */
int freeze_begin(
	struct freeze *f, const struct config_volume *v, struct stop *stop, struct err *err);
/* Is there anything to thaw? */
bool freeze_is_on(const struct freeze *f);
/* Has it lasted too long? Then nobody knows whether it still lasts. */
bool freeze_is_late(const struct freeze *f);
/* Thaws, and waits for that. -ETIMEDOUT: it was thawed before, so what was done meanwhile was not
 * frozen; -EREMOTEIO: the command fails; -ECANCELED: the run is to end, and the thawing goes on
 * without us. No-op if nothing is frozen. */
int freeze_end(struct freeze *f, struct err *err);
/* Has it thawed, and waits for nothing: for who must end now. */
void freeze_leave(struct freeze *f);

#endif
