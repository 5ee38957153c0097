/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What state.c, state_history.c and state_peer.c share; see state.h. */
#ifndef CONFSYNC_STATE_INNER_H
#define CONFSYNC_STATE_INNER_H

#include "state.h"

/* Why a generation is in the history: the end of its file's name. */
enum state_kind { STATE_WAS, STATE_UNDONE, STATE_ASIDE };

enum { STATE_TEXT_MAX = MANIFEST_TEXT_MAX + 65536 }; /* bytes of a generation as text */

/* FOLDER/NAME, malloc'd. */
char *state_file(const struct state *s, const char *name);
/* -ENOENT with ERR, too. RET is plain memory; empty after a failure. */
int state_read_generation(const char *path, struct generation *ret, struct err *err);
int state_write_generation(const char *path, const struct generation *g, struct err *err);
bool state_same(const struct generation *a, const struct generation *b);
int state_sync_folder(const char *path);

/* Into the history with REASON (NULL: its own). */
int state_remember(const struct state *s, const struct generation *g, enum state_kind kind,
	const char *reason, struct err *err);
/* Drops what is too old. */
void state_prune(const struct state *s);
/* Where a generation is kept in the history; malloc'd. */
char *state_past_file(const struct state *s, const struct generation *g, enum state_kind kind);
/* All of the history, one at a time in memory, until FN returns another value than 0, which is
 * returned; -errno for one that cannot be read. */
int state_each_past(
	const struct state *s, int (*fn)(void *arg, const struct generation *g), void *arg);
/* Was a generation that TRANSACTION brought in force once? */
bool state_was_in_force(const struct state *s, const char *transaction);

#endif
