/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state file, version 2 of the system this suite replaces:
 *
 *	{"version": 2, "images": {"NAME": {"mode": "target", "image_path": "FILE"}}}
 *
 * and for a proxy, whose image_path is the cache:
 *
 *	{"mode": "proxy", "image_path": ..., "bitmap_path": ..., "control_socket_path": ...,
 *	 "remote_host": ..., "remote_port": "8520", "remote_export_name": text or null}
 *
 * Keys of ours, all optional: "readonly", "description"; mode "cow-target" and "cow_dir"; for
 * proxies "origin_uri" instead of the remote_ ones, "copy" {"state", "rate"} and "migration"; all
 * other keys of xnbd.conf's sections by "settings" {"KEY": ["TEXT", ...]}, see export_settings.h.
 * Beside "images" there may be "serials" {"FILE": "SERIAL"}, of images whether exported or not.
 * Entries of other modes are kept as they are. It is replaced atomically and durably; a missing
 * image never drops an entry.
 */
#ifndef WRAPPER_STATE_H
#define WRAPPER_STATE_H

#include "exports.h"

enum { STATE_BYTES_MAX = 64 * 1024 * 1024 };

/* Adds the entries of PATH to T. A missing file is empty; a format error changes nothing. */
int state_load(const char *path, struct exports *t, struct err *err);

/* Writes the entries of source EXPORT_FROM_STATE, the foreign ones and all serials. */
int state_save(const char *path, const struct exports *t, struct err *err);

/* E stays in the file, as it is now, though it will not be served. 0 or -errno. */
int state_shelve(struct exports *t, const struct export_entry *e);
/* The other way round. *RET is NULL if its mode is not known, and it stays there. 0 or -errno. */
int state_unshelve(const char *path, struct exports *t, const char *name, struct export_entry **ret,
	struct err *err);

#endif
