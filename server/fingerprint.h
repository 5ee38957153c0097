/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Telling whether a file is the one it was: by size, time of change and samples of its content. */
#ifndef SERVER_FINGERPRINT_H
#define SERVER_FINGERPRINT_H

#include <jansson.h>
#include <stdint.h>

#include "err.h"

/*
 * {"size": bytes, "changed": "seconds.nanoseconds" (not of devices), "samples": hash}: the first
 * and last 4 KiB and 62 places between them. May be copied to another host with its time (cp -p).
 * NULL with ERR.
 */
json_t *fingerprint(const char *path, uint64_t size, struct err *err);

#endif
