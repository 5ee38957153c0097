/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A volume copied by way of a snapshot: made, copied by lvm_copy as a child, and removed, whatever
 * happens between. While the child runs the snapshot is looked at every second, and extended before
 * it is full.
 */
#ifndef LVM_SNAP_COPY_H
#define LVM_SNAP_COPY_H

#include "snap_options.h"
#include "toolsconf.h"

/* All of it; returns the exit status. Takes SIGINT, SIGTERM and SIGHUP: they end the copy. */
int snap_copy_run(const struct snap_options *o, const struct toolsconf *conf);

#endif
