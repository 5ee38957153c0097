/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How soon something that fails is tried again: after 0.1 s, then twice as long each time, up to
 * 10 s. What has gone well for ten seconds may fail once for free. Pure.
 */
#ifndef WRAPPER_BACKOFF_H
#define WRAPPER_BACKOFF_H

#include <stdint.h>

enum {
	BACKOFF_FIRST_MS = 100,
	BACKOFF_MAX_MS = 10 * 1000,
	BACKOFF_LIVED_MS = 10 * 1000,
};

struct backoff {
	unsigned failures; /* in a row */
	uint64_t until;    /* ms; 0 = at once */
};

/* It failed at NOW, after LIVED ms; 0 = it did not even begin. */
void backoff_failed(struct backoff *b, uint64_t now, uint64_t lived);
/* ms to wait, 0 = none. */
uint64_t backoff_left(const struct backoff *b, uint64_t now);
void backoff_forget(struct backoff *b);

#endif
