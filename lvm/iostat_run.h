/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Looks and prints, as often as is wanted. */
#ifndef LVM_IOSTAT_RUN_H
#define LVM_IOSTAT_RUN_H

#include "iostat_options.h"

/* Returns the exit status. SIGINT and SIGTERM end it between two looks, with 0. */
int iostat_run(const struct iostat_options *o, bool on_screen);

#endif
