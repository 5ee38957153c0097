/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How far the background copy is, as one line. Pure. */
#ifndef BGCTL_PROGRESS_H
#define BGCTL_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROGRESS_LINE_MAX = 1024 }; /* bytes of any line, with its end */

struct progress {
	uint64_t blocks, cached;     /* all, and those present */
	uint64_t size, cached_bytes; /* the same in bytes */
	uint64_t rate;               /* bytes/s */
	int64_t seconds_left;        /* -1 = not known */
	bool done;                   /* before that, no line says 100.0 % */
	const char *waiting;         /* why it does not move, "" = it does; printable */
};

/*
 * For a terminal of so many columns: bar, percent, amounts, then rate and time left, or why it
 * waits. Shorter than COLUMNS, so that it never wraps; a narrow terminal gets no bar.
 */
void progress_bar(const struct progress *p, unsigned columns, char out[PROGRESS_LINE_MAX]);

/* For a log file: "copy: 42.3 %, 4.2 GiB of 10.0 GiB, 85.3 MiB/s, 1 min 12 s left". */
void progress_plain(const struct progress *p, char out[PROGRESS_LINE_MAX]);

/* Characters of a text, each taken to be one column. */
size_t progress_columns(const char *text);

#endif
