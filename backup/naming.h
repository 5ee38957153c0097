/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What copies are called. A target is a place as lvm_copy takes it (spec.h of lvm) with, in it,
 *
 *	%v	the volume's name in the configuration
 *	%l	the last part of its source: the LV, the file, the export
 *	%t	the moment of the copy, 20261122T034700Z: each copy is a new file
 *	%n	a number from 1 on: copies take turns in so many places
 *	%%	a percent sign
 *
 * %t and %n stand in the last part of the path only, one of them at most. Pure.
 */
#ifndef BACKUP_NAMING_H
#define BACKUP_NAMING_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NAMING_TEXT_MAX = 5000, NAMING_TIME_ROOM = 20 };

enum naming_kind {
	NAMING_FIXED,  /* there is one copy, always in the same place */
	NAMING_TIMED,  /* %t */
	NAMING_TURNED, /* %n */
};

struct naming_values {
	const char *volume, *source;
	uint64_t time; /* seconds since 1970 */
	unsigned slot; /* for %n */
};

/* -EINVAL: what is wrong with PATTERN. */
int naming_check(const char *pattern, enum naming_kind *ret, struct err *err);

/* PATTERN, which was checked, into OUT. -ENAMETOOLONG. */
int naming_expand(const char *pattern, const struct naming_values *v, char out[NAMING_TEXT_MAX],
	struct err *err);

/* The last part of a source: what is behind the last '/' or ':'. */
const char *naming_source(const char *source);

/* In UTC. A time that no calendar has is all zeros. */
void naming_time(uint64_t seconds, char out[NAMING_TIME_ROOM]);

#endif
