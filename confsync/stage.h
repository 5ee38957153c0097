/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A set as a tree of its own, STATE/SET/stage/, as it will be: for validators, which look at
 * "%r/etc/...". Files have content, mode and owner; secret ones are no more readable than in place.
 * Cloned or copied from the live files and the store.
 */
#ifndef CONFSYNC_STAGE_H
#define CONFSYNC_STAGE_H

#include "err.h"
#include "state.h"

/* Replaces what is there. LIVE: where a content may be found besides the store; NULL = none. */
int stage_build(struct state *s, const struct manifest *files, const struct manifest *live,
	struct err *err);
void stage_drop(struct state *s);
/* Build, validate, drop. 0 at once if the set has no validate command. */
int stage_validate(
	struct state *s, const struct generation *g, const struct manifest *live, struct err *err);

#endif
