/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration file (libconfuse syntax):
 *
 *	export "vm1" {
 *		image = "/srv/vm1.img"		# path of a regular file or block device
 *		readonly = false
 *		description = "root disk of vm1"
 *		default = false			# also served under the empty name
 *	}
 */
#ifndef LIB_CONF_H
#define LIB_CONF_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

struct conf_export {
	char *name;
	char *image;
	char *description; /* NULL = none */
	bool readonly;
	bool is_default;
};

struct conf {
	struct conf_export *exports;
	size_t count;
};

/*
 * Reads PATH. -EINVAL with "file:line: what" for the first fault found by the parser, or for a
 * missing image, a bad or double name, a second default.
 */
int conf_read(const char *path, struct conf *ret, struct err *err);
void conf_done(struct conf *c);

#endif
