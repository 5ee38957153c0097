/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the mains of the snapshot tools share: command line, configuration, exit status. */
#ifndef LVM_SNAP_MAIN_H
#define LVM_SNAP_MAIN_H

#include "snap_options.h"
#include "toolsconf.h"

/* Does the work; returns the exit status. */
typedef int snap_main_fn(const struct snap_options *o, const struct toolsconf *conf);

/* All of a main: 0 done, 1 not done, 2 the command line or the configuration is wrong. */
int snap_main(const char *name, const struct opt_set *set, snap_main_fn *fn, int argc, char **argv);

#endif
