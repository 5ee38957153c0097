/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waiting for work the server does by itself: it is asked how far it is, again and again. SIGINT
 * and SIGTERM end the waiting, not the work. Results are exit statuses (enum bgctl_exit), explained
 * on stderr.
 */
#ifndef BGCTL_WATCH_H
#define BGCTL_WATCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct watch {
	const char *control;
	FILE *out;          /* progress goes here, NULL = nowhere */
	bool terminal;      /* OUT is one: a line is rewritten in place */
	unsigned poll_ms;   /* between two questions */
	unsigned line_ms;   /* between two lines where they are not rewritten */
	unsigned answer_ms; /* for one answer; Ctrl-C may have to wait as long */
	unsigned silent_ms; /* no answer for so long: give up */
};

/* As people want it; OUT stderr or NULL. */
void watch_init(struct watch *w, const char *control, FILE *out);

/* Until the background copy is done. */
int watch_copy(const struct watch *w);

/* Until snapshot ID is complete; then *ret is its entry in the list, to be json_decref()ed. */
int watch_snapshot(const struct watch *w, json_int_t id, json_t **ret);

#endif
