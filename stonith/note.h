/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A note in the run directory that holds for a time: who wants or confirms something. One line,
 *
 *	BOOT-ID FROM UNTIL WHO
 *
 * with times of CLOCK_BOOTTIME in ms, so the wall clock may jump, and a note of another boot is
 * none. Replaced by renaming, so it is whole. For lease.c and confirm.c; others use those.
 */
#ifndef STONITH_NOTE_H
#define STONITH_NOTE_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	NOTE_WHO_MAX = 128, /* with its zero */
	NOTE_MS_MAX = 86400000,
};

struct note {
	char who[NOTE_WHO_MAX];
	uint64_t age_ms, left_ms; /* left_ms > 0 */
};

/* CLOCK_BOOTTIME: goes on while the host sleeps, never back. */
uint64_t note_clock_ms(void);

/* NODE.KIND in DIR, the node's name in small letters. False: too long. */
bool note_path(const char *dir, const char *node, const char *kind, char *out, size_t room);

/* What is no printable character in WHO becomes '?', what is too long is cut. 0 or -errno. */
int note_write(const char *dir, const char *node, const char *kind, const char *who, uint64_t ms,
	struct err *err);

/* False: there is none that holds. One that others than root, or we, could have written is none. */
bool note_read(const char *dir, const char *node, const char *kind, struct note *ret);

/* Is it WHO's? */
bool note_is_of(const struct note *n, const char *who);

/* As note_read(), and it is gone: of several at once, one gets it. */
bool note_take(const char *dir, const char *node, const char *kind, struct note *ret);

void note_drop(const char *dir, const char *node, const char *kind);

#endif
