/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a push, pull, sync, resolve or rollback came to: for people, in JSON, as an exit status. */
#ifndef CONFSYNC_OUTCOME_H
#define CONFSYNC_OUTCOME_H

#include "manifest.h"
#include "options.h"
#include "sync.h"

#include <jansson.h>

/* COMMAND_*. */
int outcome_status(const struct options *o, const struct sync_result *r);
/* A line on stdout, or on stderr if it did not come to a good end. */
void outcome_show(const struct options *o, const struct config *c, const struct config_set *set,
	const struct sync_result *r);
/* CHANGES: of --dry-run; NULL = none. */
json_t *outcome_document(const struct options *o, const struct config_set *set,
	const struct sync_result *r, const struct changes *changes);

#endif
