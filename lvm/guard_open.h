/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who else has a device open. O_EXCL keeps off who says so as well: mounts, LVM, md. A server of
 * block devices or a virtual machine mostly does not say so, and would go on with what it knew of
 * the device.
 */
#ifndef LVM_GUARD_OPEN_H
#define LVM_GUARD_OPEN_H

#include "err.h"

#include <sys/types.h>

/*
 * 0 if nobody but us, who have DEV open OPENS times, has it or a partition of it open. Waits
 * for a few seconds, as programs that look at new devices (udev) have them open for a moment.
 * -EBUSY and who it is. Without root's rights only some are seen.
 */
int guard_open_check(dev_t dev, int opens, const char *path, struct err *err);

#endif
