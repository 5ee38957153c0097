/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The line that says how far a transfer is; see progress.h. On stderr, as stdout is for results. */
#include "progress.h"

#include "clock.h"
#include "report.h"

#include <stdio.h>
#include <unistd.h>

enum { FIRST_MS = 1000, PAUSE_MS = 200 };

static void show(void *arg, const char *what, uint64_t files, uint64_t files_all, uint64_t bytes,
	uint64_t bytes_all)
{
	char done[REPORT_TEXT], all[REPORT_TEXT];
	struct progress *p = arg;
	uint64_t now = clock_ms();

	if (now - p->began < FIRST_MS || (p->shown && now - p->last < PAUSE_MS))
		return;
	report_size(bytes, done);
	report_size(bytes_all, all);
	fprintf(stderr, "\r\033[K%s: %llu of %llu files, %s of %s", what, (unsigned long long)files,
		(unsigned long long)files_all, done, all);
	fflush(stderr);
	p->shown = true;
	p->last = now;
}

void progress_init(struct progress *p, bool wanted)
{
	*p = (struct progress){.on = wanted && isatty(STDERR_FILENO), .began = clock_ms()};
	p->hook = (struct transfer_progress){.fn = show, .arg = p};
}

const struct transfer_progress *progress_hook(const struct progress *p)
{
	return p->on ? &p->hook : NULL;
}

void progress_end(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}
