/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel says of a file or a block device: which one it is, whether its content may
 * change, and what it must not be copied onto.
 *
 * An LV has a UUID, which LVM gives no second one: a snapshot made anew under the old name is
 * another source, and so is one that somebody has written to. A disk has nothing of that kind: it
 * is known until the next boot. A file is known by its inode, size and times.
 */
#ifndef LVM_IDENTITY_H
#define LVM_IDENTITY_H

#include "err.h"
#include "manifest.h"

#include <stdbool.h>
#include <sys/types.h>

/* Of the open file FD. *ret_stable: as long as this does not change, its content does not. */
int identity_of(int fd, const char *name, char out[MANIFEST_IDENTITY_MAX], bool *ret_stable,
	struct err *err);

/* Are both of them one LV, whatever else is known of it? */
bool identity_is_one_volume(const char *a, const char *b);

/* Lower devices of the block device DEV, at any depth; DEV itself is the first. How many. */
enum { IDENTITY_BELOW_MAX = 256 };
size_t identity_below(dev_t dev, dev_t out[IDENTITY_BELOW_MAX]);

/* First line of the file NAME of DEV's folder in sysfs, "" if there is none. */
void identity_attribute(dev_t dev, const char *name, char *out, size_t room);

/* A hidden part of LVM's, by the end of its UUID: "-real" (what a snapshot is of), "-cow". */
bool identity_is_part(dev_t dev, const char *part);

#endif
