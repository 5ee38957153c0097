/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keys of an export as JSON: {"threads": ["4"], "allow": ["192.0.2.0/24", "unix"]}, for those that
 * the state file has no older name for. What is written by this table is read by it.
 */
#ifndef WRAPPER_EXPORT_SETTINGS_H
#define WRAPPER_EXPORT_SETTINGS_H

#include <jansson.h>

#include "export_config.h"

/*
 * Sets keys of C, which owns them from then on; the others may borrow their texts. FROM NULL: none.
 * 0, -ENOMEM, or -EINVAL with a line. In any case export_settings_free() C.
 */
int export_settings_read(json_t *from, struct export_config *c, struct err *err);
void export_settings_free(struct export_config *c);

/* An object, empty if nothing is set; NULL: no memory, or a text is no UTF-8. */
json_t *export_settings_write(const struct export_config *c);

#endif
