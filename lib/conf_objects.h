/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sections that become objects of a program, which has a row in a table for each kind of section:
 * those of a kind, their names, and checks that many kinds need. What is wrong is told as a fault,
 * so that all of them are found in one go; what an object has after a fault is only good to be
 * freed.
 */
#ifndef LIB_CONF_OBJECTS_H
#define LIB_CONF_OBJECTS_H

#include "conf.h"

/* The next section of KIND, in the order of the files, from *AT on, which is 0 at first. NULL: no
 * more. */
const struct conf_section *conf_next(
	const struct conf *c, const struct conf_kind *kind, size_t *at);

/*
 * The same with what the object is to be called, which is to be freed. A name is a word for files,
 * shells and the network: 1 to MAX letters, digits, '.', '_', '-', and differs from all others of
 * KIND not by case alone; one that does not is given all the same. NULL also for want of memory,
 * which is told.
 */
const struct conf_section *conf_next_named(
	struct conf *c, const struct conf_kind *kind, size_t max, size_t *at, char **ret_name);

/* Is TEXT, the value of KEY, there? If not, that is told with WHY (NULL = no reason), unless KEY
 * was given, or something is missing in S anyway. */
bool conf_require(struct conf *c, const struct conf_section *s, const char *key, const char *text,
	const char *why);

/* Is TEXT the literal address of a host? NULL is good. WHY: no name; NULL = no reason. */
bool conf_check_address(struct conf *c, const struct conf_section *s, const char *key,
	const char *text, const char *why);

/* A copy of TEXT at AT, if nothing is there. False: no memory, which is told at FILE. */
bool conf_fill_in(struct conf *c, const char *file, const char **at, const char *text);

/* Is NAME what this host is called, with or without its domain? */
bool conf_is_this_host(const char *name);

/* The end of a reading that came to R: its faults are given back, after they are in the log. If R
 * is negative, the first one, or what R means, is in FAULT. */
void conf_end(struct conf *c, int r, char *fault, size_t room);

/* All faults, as errors in the log. */
void conf_log_faults(const struct conf *c);

#endif
