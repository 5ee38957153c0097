/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lvm_copy from its options to its exit status. */
#ifndef LVM_COPY_COMMAND_H
#define LVM_COPY_COMMAND_H

#include "copy_options.h"

#include <stdatomic.h>

/* Exit status. STOP is set by signals. */
int copy_command(const struct copy_options *o, atomic_bool *stop);

#endif
