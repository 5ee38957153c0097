/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A line on the terminal while a transfer lasts: shown when a second has passed, wiped at its end.
 */
#ifndef CONFSYNC_PROGRESS_H
#define CONFSYNC_PROGRESS_H

#include "transfer.h"

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool on, shown;
	uint64_t began, last; /* ms of clock_ms() */
	struct transfer_progress hook;
};

/* WANTED, and stderr is a terminal. */
void progress_init(struct progress *p, bool wanted);
/* NULL: nobody looks. */
const struct transfer_progress *progress_hook(const struct progress *p);
void progress_end(struct progress *p);

#endif
