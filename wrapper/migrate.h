/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * migrate-in: an export that is a proxy of an image elsewhere, served from the first moment on, is
 * filled in the background, compared if wished, switched to a target, and a hook is told.
 *
 * A migration belongs to its export and is saved in its entry of the state file:
 *	"migration": {"phase": ..., "rate": N, "verify": bool, "hook": text, "error": text}
 * so that the death of a server or of the wrapper delays it and no more.
 */
#ifndef WRAPPER_MIGRATE_H
#define WRAPPER_MIGRATE_H

#include <jansson.h>

#include "exports.h"

struct master;

enum migrate_phase {
	MIGRATE_CONNECTING, /* the server starts, or looks for the origin for the first time */
	MIGRATE_COPYING,
	MIGRATE_WAITING, /* the origin is lost, or the copy was paused */
	MIGRATE_VERIFYING,
	MIGRATE_SWITCHING,
	MIGRATE_DONE,
	MIGRATE_FAILED,  /* the comparison found differences; nothing was switched */
	MIGRATE_ABORTED, /* by migrate-abort */
	MIGRATE_PHASES
};
const char *migrate_phase_name(enum migrate_phase phase);
/* False: there is no phase of this name. The first three are saved as "copying". */
bool migrate_phase_parse(const char *name, enum migrate_phase *ret);

struct migrate_wish {
	const char *name, *uri;
	const char *cache, *bitmap, *control; /* cache: needed for a new export */
	const char *hook;                     /* program, run as HOOK NAME done|failed */
	uint64_t rate;                        /* bytes/s, 0 = no limit */
	bool verify;
};

/* At the start: those of the state file go on. */
void migrate_start_all(struct master *m);

/* Adds the export, or goes on with one that was aborted or has failed. 0 or -errno. */
int migrate_begin(struct master *m, const struct migrate_wish *wish, struct err *err);
int migrate_abort(struct master *m, const char *name, struct err *err);

/* {"phase", "percent", "rate", "rate_limit", "seconds_left", "error" ...}; NULL: E has none. */
json_t *migrate_describe(const struct master *m, const struct export_entry *e);

/* What a server answered to "query": what to show, and which phase that means. Pure. */
struct migrate_progress {
	enum migrate_phase phase; /* CONNECTING, COPYING, WAITING, or SWITCHING = all is there */
	bool is_target;           /* it has been switched already */
	uint64_t cached, blocks, block, rate;
	int64_t seconds_left; /* -1 = not known */
	char error[256];
};
void migrate_read_progress(json_t *answer, struct migrate_progress *ret);

/* Something changed about this export: look at it soon. */
void migrate_poke(struct master *m, uint32_t export_id);
void migrate_switched(struct master *m, uint32_t export_id);
/* The export is removed. */
void migrate_forget(struct master *m, uint32_t export_id);
void migrate_end_all(struct master *m);

#endif
