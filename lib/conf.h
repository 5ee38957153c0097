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
 *	export "vm2" {
 *		mode = "cow-target"		# image is the base, each client has its own layer
 *		image = "/srv/golden.img"
 *		cow-dir = "/var/tmp"
 *	}
 *	export "vm3" {
 *		mode = "proxy"
 *		origin = "nbd://host:10809/vm3"	# or host, port and exportname
 *		cache = "/srv/vm3.cache"
 *		bitmap = "/srv/vm3.bitmap"	# optional, as is control
 *	}
 */
#ifndef LIB_CONF_H
#define LIB_CONF_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

enum conf_mode { CONF_TARGET, CONF_COW_TARGET, CONF_PROXY };

/* Texts that were not given are NULL. */
struct conf_export {
	char *name;
	char *description;
	enum conf_mode mode;
	bool readonly;
	bool is_default;
	char *image;   /* TARGET, COW_TARGET: always */
	char *cow_dir; /* COW_TARGET */
	/* PROXY: always a cache, and origin or host and port */
	char *origin, *host, *port, *exportname;
	char *cache, *bitmap, *control;
};

struct conf {
	struct conf_export *exports;
	size_t count;
};

/*
 * Reads PATH. -EINVAL with "file:line: what" for the first fault found by the parser, or for a
 * missing image, a bad or double name, a second default, a key that does not belong to the mode.
 * Whether an origin makes sense is left to who uses it.
 */
int conf_read(const char *path, struct conf *ret, struct err *err);
void conf_done(struct conf *c);

#endif
