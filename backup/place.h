/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Places of copies, as they really are: what lies there, whether it is ours, and its removal. A
 * place is a target as lvm_copy takes it. Of places on other hosts nothing is known here.
 */
#ifndef BACKUP_PLACE_H
#define BACKUP_PLACE_H

#include "config.h"
#include "record.h"

#include <stdbool.h>

#define PLACE_MARK "xnbd-backup" /* in the names of all snapshots that are copied */

/* May a copy of V be written to TARGET, of which R may know? -EEXIST: it is somebody's. */
int place_check(const struct config_volume *v, const struct records *r, const char *target,
	struct err *err);

/* Can places be seen at all, as far as V says where they are mounted? -ENODEV: they cannot. */
int place_mounted(const struct config_volume *v, struct err *err);

/* Is there nothing any more at the file of ONE? */
bool place_is_gone(const struct record *one);

/*
 * Of a copy that was cut off: 0 if what lies there is whole, with the DIGEST of its manifest, which
 * gets its name if it had not come to that.
 */
int place_complete(const struct record *one, char digest[RECORD_DIGEST_ROOM]);

/* Is the copy ONE, on this host, as it was recorded? The manifest goes before the first write. */
bool place_is_untouched(const struct record *one);

/* Removes what a copy that was not finished has left beside TARGET, if that is a file here. */
void place_clean(const char *target);

/*
 * Removes the copy ONE, a file of this host, if its manifest says that it is the one that was
 * recorded. 0 also if it is gone. -EPERM: it is something else by now, or was no file of this host.
 */
int place_remove(const struct record *one, struct err *err);

#endif
