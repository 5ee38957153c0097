/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The export table: what is served under which name, and where the entry came from. */
#ifndef WRAPPER_EXPORTS_H
#define WRAPPER_EXPORTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

enum export_source {
	EXPORT_FROM_OPTION, /* --imgfile */
	EXPORT_FROM_CONFIG, /* --config */
	EXPORT_FROM_STATE,  /* the state file, or added by xnbd-wrapper-ctl: saved */
};

struct export_entry {
	uint32_t id; /* from 1, never reused: the index of xnbd-wrapper-ctl --list */
	char *name, *image, *description; /* description: NULL = none */
	bool readonly, is_default;
	enum export_source source;
};

struct exports {
	struct export_entry *entries; /* by id */
	size_t count, room;
	uint32_t last_id;
	json_t *foreign; /* state entries not served (of kinds not built yet, or hidden by options
			  * and configuration), kept as they are; NULL = none */
};

/*
 * The texts are copied. -EEXIST for a name that is taken, -EINVAL for a bad one or a description
 * of more than 4096 bytes.
 */
int exports_add(struct exports *t, const char *name, const char *image, const char *description,
	bool readonly, enum export_source source, struct export_entry **ret, struct err *err);
void exports_remove(struct exports *t, uint32_t id);
void exports_done(struct exports *t);

struct export_entry *exports_by_id(const struct exports *t, uint32_t id);
struct export_entry *exports_by_name(const struct exports *t, const char *name);
struct export_entry *exports_by_image(const struct exports *t, const char *image);

const char *exports_source_name(enum export_source source);

#endif
