/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a run ended for each volume: a line for people, JSON for programs. */
#ifndef BACKUP_REPORT_H
#define BACKUP_REPORT_H

#include "err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum report_result {
	REPORT_GOOD,
	REPORT_SKIPPED, /* not due, or not active here */
	REPORT_PLANNED, /* --dry-run */
	REPORT_STOPPED, /* the run was ended before this was done */
	REPORT_FAILED,
};

struct report {
	const char *volume; /* not copied */
	enum report_result result;
	char text[ERR_TEXT_MAX];    /* why not; or what would be done */
	char target[512];           /* "" = it did not come to that; may be cut */
	char warning[ERR_TEXT_MAX]; /* of something beside the copy; "" = none */
	uint64_t bytes, ms;
	uint64_t last_good; /* seconds since 1970, 0 = never */
	uint64_t missed;    /* seconds, see schedule_missed(); 0 also if none is expected here */
	bool verified;
	size_t kept, removed; /* copies */
};

/* One line, without its end. NOW: seconds since 1970. */
void report_line(const struct report *r, uint64_t now, char *out, size_t room);
json_t *report_json(const struct report *r);

#endif
