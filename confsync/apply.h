/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From one generation to another on this node, so that after a crash at any moment, and recovery,
 * all files are of one of them.
 *
 * PREPARE  Whatever is new is made beside where it will be, in the same folder, under a temporary
 * name (PATH_OWN_PREFIX TXN.N): a file, a link, or a new folder with all that is in it; content,
 * owner, mode and attributes are complete and synced. Contents of the files that are there now go
 * to the store, and those that were edited since the generation before are synced, as they may
 * stay. What is needed can only fail here. COMMIT  Checked right before: is each thing that changes
 * still what was looked at (inode, size, mtime, ctime)? Then names are exchanged (renameat2(2)):
 * what is new gets its name, what was there the temporary one. Nothing is ever overwritten, so
 * undoing needs no space, and a change that somebody makes in the last moment is still there. A
 * folder that goes away is moved as a whole. Folders that stay get their mode and owner. Then
 * folders are synced, and the state's generation is replaced. ROLL BACK  The same exchanges again,
 * the generation before is in force again. FINISH  What has the temporary names now is removed;
 * content that somebody wrote to it meanwhile is kept in the history first (state_set_aside()).
 *
 * The journal (STATE/SET/txn/) has: `plan`, written once before the first temporary name appears:
 * both generations, the files before, the items; no plan, no transaction. `made`: inodes, written
 * before PREPARED, tells whether an exchange was done. `phase`: a line for each step, synced. Every
 * step can be done again after a crash anywhere in it.
 *
 * Refused when preparing, in one line: mount points, immutable files, file systems that are read
 * only or cannot exchange names, folders that go away but hold files that are no part of the set,
 * paths that config_allows() does not.
 */
#ifndef CONFSYNC_APPLY_H
#define CONFSYNC_APPLY_H

#include "err.h"
#include "generation.h"
#include "state.h"

enum { APPLY_WHY_MAX = 256 };

enum apply_phase {
	APPLY_NONE,
	APPLY_PREPARING,  /* after a crash: undone */
	APPLY_PREPARED,   /* after a crash: a receiver's is in doubt, a sender's is given up */
	APPLY_COMMITTING, /* decided; after a crash: gone on with */
	/* In force; hooks may not have run. After a crash: stays, until finished or rolled back. */
	APPLY_COMMITTED,
	APPLY_ROLLING_BACK, /* after a crash: gone on with */
	APPLY_FINISHING,    /* forward: NEXT stays; after a crash: gone on with */
	APPLY_DROPPING,     /* the end of a roll back; after a crash: gone on with */
};
enum apply_role { APPLY_SENDER, APPLY_RECEIVER, APPLY_ALONE };

struct apply {
	struct state *state;
	enum apply_phase phase;
	enum apply_role role;
	char transaction[GENERATION_ID_MAX];
	struct generation before,
		next; /* before: the generation in force; files that are there now: live */
	struct manifest live;
	/* private to apply_*.c */
	struct apply_item *items;
	size_t item_count;
	struct apply_seen *seen_live, *seen_next; /* of each entry; zero = was not looked at */
	struct meta_names *names;
	char why[APPLY_WHY_MAX];
	bool recovering;
};

/* LIVE is about to be in force, BEFORE was: what people edited becomes durable. Part of preparing,
 * too. */
int apply_sync_live(const struct manifest *before, const struct manifest *live, struct err *err);

/* 16 random hex digits. */
void apply_new_id(char ret[GENERATION_ID_MAX]);

/* LIVE: the files as scanned just now (what differs between them and NEXT is changed). Contents
 * that are needed are in the store or in the live files. The state is locked. On failure everything
 * is as before, ERR has the path; -ESTALE: a file is no more what was scanned. A is plain memory
 * before, and to be given to apply_done() in any case. */
int apply_prepare(struct apply *a, struct state *s, enum apply_role role, const char *transaction,
	const struct manifest *live, const struct generation *next, struct err *err);
/* -ESTALE: somebody changed PATH meanwhile; nothing was changed, the caller rolls back. */
int apply_check(struct apply *a, struct err *err);
/* Includes apply_check() before the decision is written. After a failure the caller rolls back. */
int apply_commit(struct apply *a, struct err *err);
/* From any phase before FINISHING, and NONE (then there is nothing to do); NEXT goes to the history
 * with WHY when it was in force. */
int apply_rollback(struct apply *a, const char *why, struct err *err);
int apply_finish(struct apply *a, struct err *err);
void apply_done(struct apply *a); /* memory only */

/* What a crash has left, gone on with as the list of phases says; the state is locked. Afterwards
 * A->phase is NONE, PREPARED (receiver) or COMMITTED. A as in apply_prepare(). -EBADMSG: the
 * journal is damaged. */
int apply_recover(struct apply *a, struct state *s, struct err *err);
/* How did TRANSACTION end here? For a peer in doubt. ABORT also if it was never heard of, UNKNOWN
 * while it is not decided. */
int apply_outcome(const struct state *s, const char *transaction); /* enum message_result */
/* Without lock: is there one, in which phase? */
enum apply_phase apply_peek(const struct state *s, char transaction[GENERATION_ID_MAX]);
const char *apply_phase_text(enum apply_phase p);

#endif
