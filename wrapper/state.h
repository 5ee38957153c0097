/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state file, version 2 of the system this suite replaces:
 *
 *	{"version": 2, "images": {"NAME": {"mode": "target", "image_path": "FILE"}}}
 *
 * with the optional keys "readonly" and "description" of ours. Entries of other modes are kept
 * as they are. It is replaced atomically and durably; a missing image never drops an entry.
 */
#ifndef WRAPPER_STATE_H
#define WRAPPER_STATE_H

#include "exports.h"

enum { STATE_BYTES_MAX = 64 * 1024 * 1024 };

/* Adds the entries of PATH to T. A missing file is empty; a format error changes nothing. */
int state_load(const char *path, struct exports *t, struct err *err);

/* Writes the entries of source EXPORT_FROM_STATE, and the foreign ones. */
int state_save(const char *path, const struct exports *t, struct err *err);

#endif
