/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where contents are, for the files of store.h. */
#ifndef CONFSYNC_STORE_NAME_H
#define CONFSYNC_STORE_NAME_H

#include "manifest.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* Files that are being written: FOLDER/new.XXXXXX. */
#define STORE_TEMP "new."

/* SUB: FOLDER/ab, PATH: FOLDER/ab/cdef... False: too long. */
bool store_name(const char *folder, const uint8_t hash[MANIFEST_HASH], char sub[PATH_MAX],
	char path[PATH_MAX]);

#endif
