/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How copies stand, for monitoring: by their records alone. Pure. */
#ifndef BACKUP_STATUS_H
#define BACKUP_STATUS_H

#include "config.h"
#include "record.h"

enum status_level { STATUS_OK, STATUS_WARNING, STATUS_CRITICAL, STATUS_UNKNOWN };

struct status {
	enum status_level level;
	uint64_t last_good; /* seconds since 1970, 0 = never */
	char text[ERR_TEXT_MAX];
};

/*
 * CRITICAL: no good copy, or none that is young enough. WARNING: the last attempt failed or, if no
 * run is going on (IS_RUNNING), was cut off; or the newest copy was to be verified and was not.
 */
void status_judge(const struct config_volume *v, const struct records *r, bool is_running,
	uint64_t now, struct status *ret);
const char *status_word(enum status_level level);

#endif
