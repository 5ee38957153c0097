/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One copy by lvm_copy or lvm_snap_copy as a child, and the look at it afterwards. */
#ifndef BACKUP_COPYING_H
#define BACKUP_COPYING_H

#include "config.h"
#include "record.h"

struct stop;

struct copying {
	const struct config *config;
	const struct config_volume *volume;
	struct stop *stop;
	struct records *records;
	struct record *record; /* what is filled: bytes, digest, verified, ms */
	uint64_t now;          /* seconds since 1970 */
	int hold;              /* a descriptor that copies have; 0 = none */
	/* Saves the records, as something was made that a next run must know of. */
	int (*save)(void *owner, struct err *err);
	void *owner;
	/* What went wrong beside it, as a snapshot that is left. */
	struct err aside;
};

/* From the snapshot, if there is one, to the copy. -ECANCELED: the run is to end. */
int copying_run(struct copying *c, struct err *err);

/* Reads the copy again. -EBADMSG: it is damaged; any other error says nothing about it. */
int copying_verify(struct copying *c, struct err *err);

/* Removes snapshots that earlier runs have left. */
int copying_clean(struct copying *c, struct err *err);

#endif
