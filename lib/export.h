/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a client can be told of an export, its facts, and how they are found out. The negotiator,
 * the master and the worker use the same facts, so that INFO, GO and the worker never disagree.
 */
#ifndef LIB_EXPORT_H
#define LIB_EXPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct export_facts {
	uint64_t size;            /* bytes, 0 to 2^63 - 1 */
	uint16_t flags;           /* NBD_FLAG_*, without those that depend on the session */
	uint32_t block_min;       /* bytes, power of two */
	uint32_t block_preferred; /* bytes, power of two */
	uint32_t block_max;       /* bytes, largest payload */
};

enum { EXPORT_PAYLOAD_MAX = 64 * 1024 * 1024 };

/* 0, or -EINVAL and why: empty is allowed here, NUL, invalid UTF-8 and more than 4096 bytes are
 * not. */
int export_check_name(const char *name, size_t len, struct err *err);

/* 0, or -EINVAL and why: an origin is nbd://, nbds://, nbd+unix:// or nbds+unix://, of less than
 * 4096 bytes. What follows the scheme is looked at when it is connected to. */
int export_check_uri(const char *uri, struct err *err);

/* As a client that may not write sees it. */
void export_make_readonly(struct export_facts *facts);

/*
 * Opens the image or device PATH (read-only if *READONLY, or when the device says it is) and finds
 * its facts; *readonly tells how it was opened. Returns the fd, or -errno and one line that names
 * it. Directories, fifos, character devices, sizes of 0: refused. May block on a dead file server.
 */
int export_open(const char *path, bool *readonly, struct export_facts *ret, struct err *err);

#endif
