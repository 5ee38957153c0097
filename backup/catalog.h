/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is remembered, on disk: STATE/NAME.json for each volume (record.h), and the lock STATE/lock
 * that is held by the one run there may be.
 */
#ifndef BACKUP_CATALOG_H
#define BACKUP_CATALOG_H

#include "record.h"

/* No file means no copies yet. RET: records_done() it, in any case. */
int catalog_load(const char *folder, const char *volume, struct records *ret, struct err *err);
/* The file is the old one or the new one, whatever happens. */
int catalog_save(const char *folder, const char *volume, const struct records *r, struct err *err);

/* A descriptor that holds the lock; -EBUSY: another run has it, *ret_pid as of catalog_holder().
 * Makes the folder. */
int catalog_lock(const char *folder, uint64_t *ret_pid, struct err *err);
/*
 * A descriptor that locks STATE/children. It is to be inherited by those who write copies, and is
 * locked until the last of them has ended. -EBUSY: some of a run before have not.
 */
int catalog_lock_children(const char *folder, struct err *err);
/* The process that holds the lock of the run; 0: nobody. One of another host, where the folder is
 * shared, or of another container, has no number here. */
#define CATALOG_ELSEWHERE UINT64_MAX
uint64_t catalog_holder(const char *folder);

#endif
