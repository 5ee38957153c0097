/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The serial of an export: an identity that stays when the export is renamed, when its image is
 * served by another host, and when the wrapper starts again. It says nothing of the content.
 *
 * It is what is configured; or else what the kernel knows of the block device: the UUID of device
 * mapper or md, or the worldwide name of a disk; or else 128 random bits, made up once and kept in
 * the state file by the path of the image. Snapshots have none.
 */
#ifndef WRAPPER_SERIAL_H
#define WRAPPER_SERIAL_H

#include <stdbool.h>
#include <sys/types.h>

#include "exports.h"
#include "nbd.h"

enum { SERIALS_UNUSED_MAX = 10000 /* of images that are not exported any more */ };

/*
 * Finds E's serial. A device that is not there yet has none; ask again when it is. *RET_MADE is set
 * to true if one was made up, which is to be saved, and else left alone. True: it has changed.
 */
bool serial_settle(struct exports *t, struct export_entry *e, bool *ret_made);

/* That of a block device; SYSFS is "/sys". 0, or -ENOENT if it has none. */
int serial_of_device(const char *sysfs, dev_t dev, char out[EXPORT_SERIAL_MAX + 1]);

/* May TEXT be a serial: printable ASCII, not empty, not too long? */
bool serial_is_good(const char *text);

/* The description with the serial behind it, as clients are told, of at most NBD_STRING_MAX bytes.
 */
void serial_describe(const struct export_entry *e, char out[NBD_STRING_MAX + 1]);

#endif
