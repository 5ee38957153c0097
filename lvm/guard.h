/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What may not be overwritten: the source itself, what it lies on or is a snapshot of, what is
 * mounted or swapped to, and whatever another program holds.
 */
#ifndef LVM_GUARD_H
#define LVM_GUARD_H

#include "err.h"
#include "spec.h"

#include <sys/stat.h>

/*
 * May PATH be written over as a copy of the file or device SOURCE (NULL: of something on another
 * host, or of an export)? A file may not be there yet. 0, or -EBUSY, -EINVAL and why not.
 */
int guard_check(enum spec_kind kind, const char *path, const char *source, struct err *err);

/* The same of what is there, and maybe open already: ST is what it is, PATH how it is called. */
int guard_check_stat(enum spec_kind kind, const char *path, const struct stat *st,
	const char *source, struct err *err);

/*
 * PATH must lie below the folder PREFIX, wherever links lead. 0, or -EACCES and a line. Of a volume
 * the name is looked at. Where a device's name leads is root's affair, if the link is; that it is a
 * device, who opens it has to see.
 */
int guard_prefix(enum spec_kind kind, const char *path, const char *prefix, struct err *err);

#endif
