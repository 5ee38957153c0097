/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A node in a folder: files of set "t", its state, and transactions between generations that are
 * made by commands of the shell. What fails here ends the process.
 */
#ifndef TESTS_LIB_CONFSYNC_RIG_H
#define TESTS_LIB_CONFSYNC_RIG_H

#include "apply.h"
#include "scans.h"
#include "state.h"

struct rig {
	struct scans scans;
	struct state state;
	struct apply apply;
	struct err err;
	struct generation one, two; /* before, and after the change */
};

/* KEYS: of the set, besides its paths. */
void rig_init(struct rig *r, const char *keys);
void rig_done(struct rig *r);
/* Generation 1 is what the command FIRST makes, and is in force; 2 what CHANGE makes of it. Files
 * are those of generation 1 afterwards; the store has the contents of both. */
void rig_generations(struct rig *r, const char *first, const char *change);
/* The state anew, locked, as a new process has it. */
void rig_open(struct rig *r);
void rig_close(struct rig *r);

/* A transaction to generation 2 of the files as they are now. */
int rig_prepare(struct rig *r, enum apply_role role);
/* Are the files, and the generation in force, these? */
bool rig_files_are(struct rig *r, const struct generation *g);
bool rig_is(struct rig *r, const struct generation *g);
/* No temporary names, no journal. */
bool rig_is_clean(struct rig *r);
/* Content of a file; ends with the test. "" if it is not there. */
const char *rig_read(struct rig *r, const char *name);
/* Has the history a generation of this kind ("undone", "set aside") with NAME's content TEXT? */
bool rig_kept(struct rig *r, const char *kind, const char *name, const char *text);

#endif
