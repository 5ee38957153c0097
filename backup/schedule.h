/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When a copy is due, and when one is missing. Pure. Times are seconds since 1970; 0 = never.
 *
 * A copy is due when the last good one was begun `every` ago, less an eighth of that, at most an
 * hour: so one that is started each night at the same time is not late one day and left out the
 * next. A last copy of the future means that the clock was wrong: then one is due.
 */
#ifndef BACKUP_SCHEDULE_H
#define BACKUP_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SCHEDULE_HOUR = 3600 };

/* Hours from the configuration as seconds; MAX_AGE 0 means twice EVERY. */
uint64_t schedule_limit(uint64_t every, uint64_t max_age);

bool schedule_is_due(uint64_t now, uint64_t last_good, uint64_t every);

/* Seconds by which the deadline is missed; 0: it is not. Without a good copy it always is, by
 * UINT64_MAX. */
uint64_t schedule_missed(uint64_t now, uint64_t last_good, uint64_t limit);

/* "3 h", "2 days", "5 min", for people; rounded down. */
void schedule_span(uint64_t seconds, char *out, size_t room);

#endif
