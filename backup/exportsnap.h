/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshots of exports, made by the wrapper: it lets no request through at the moment of one. The
 * file's name is ours and stands in the volume's records before the wrapper is asked, so that a
 * next run finds what this one has left.
 */
#ifndef BACKUP_EXPORTSNAP_H
#define BACKUP_EXPORTSNAP_H

#include "config.h"
#include "record.h"

struct stop;

struct exportsnap {
	const struct config *config;
	const struct config_volume *volume;
	struct records *records; /* whose snapshot, snapshot_of are ours */
	struct stop *stop;
	bool is_unsure; /* it was asked for, and may come into being yet */
};

/* Where it will be: a new name. -ENOENT: no such export; -EINVAL: of it there can be none. */
int exportsnap_plan(struct exportsnap *e, uint64_t now, struct err *err);
/* Has it made, of the moment of this call; returns when that is fixed. */
int exportsnap_take(struct exportsnap *e, struct err *err);
/* Waits until the file has all of it. */
int exportsnap_wait(struct exportsnap *e, struct err *err);
/* It is exported no more and removed. -EBUSY: not now; the records still have it, as they have one
 * that may come into being when we have gone. */
int exportsnap_drop(struct exportsnap *e, struct err *err);

#endif
