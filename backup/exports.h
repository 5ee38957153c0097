/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The wrapper's export table as volumes to be copied: those exports whose image is a logical
 * volume.
 */
#ifndef BACKUP_EXPORTS_H
#define BACKUP_EXPORTS_H

#include "config.h"

#include <jansson.h>
#include <stdio.h>

/* The answer of `list`. json_decref() it. */
int exports_ask(const char *control, json_t **ret, struct err *err);

/*
 * Finds "lvm:/dev/VG/LV" for IMAGE by its name, or by the device it leads to. False: it is none.
 */
bool exports_volume_of(const char *image, char *out, size_t room);

/* What NAME is called as a volume: characters that names do not have become '_'. Pure. */
void exports_name(const char *name, char out[CONFIG_NAME_MAX + 1]);

/*
 * Adds a volume to C for each export of LIST that is a volume, is not excluded, and is not the
 * source of one that is there. Images that several exports have are copied once. 0, or the first
 * error; the others are added nevertheless.
 */
int exports_add(struct config *c, const json_t *list, struct err *err);

/* A configuration for LIST, with volumes of TARGETS, a volume group, to copy to. */
void exports_print_plan(const json_t *list, const char *targets, FILE *out);

#endif
