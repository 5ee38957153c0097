/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a node remembers of a set, in STATE-DIRECTORY/SET/ (0700, root):
 *
 *	lock          flock(2) of whoever changes something (command, daemon's child, sshd's child)
 *	generation    the one in force (generation.h)
 *	history/      generations that are not in force: N-DIGEST8 was, N-DIGEST8.undone was rolled
 *	              back, N-DIGEST8.aside lost against another; the newest `keep` of the first,
 *	              and as many of the others
 *	objects/      contents of all of these (store.h)
 *	index         what was hashed (index.h)
 *	peer          what the peer said last (state_peer)
 *	trouble       why the last attempt failed, or what is held
 *	held          the peer's generation while a divergence is held
 *	frozen        the set is left alone (`hold add`)
 *	txn/          the transaction under way (apply.h)
 *	stage/        tree of its files, for validators (stage.h)
 *
 * Files are replaced by fs_replace(): whole or not at all. A damaged one is told to people, and
 * never taken for "there is none".
 */
#ifndef CONFSYNC_STATE_H
#define CONFSYNC_STATE_H

#include "config.h"
#include "err.h"
#include "generation.h"
#include "plan.h"

struct state {
	const struct config *config;
	const struct config_set *set;
	char *folder; /* STATE-DIRECTORY/SET */
	char *objects, *index, *stage, *txn;
	int lock;              /* -1: not held */
	struct generation now; /* in force; number 0 = none */
};

/* Makes the folders, reads the generation. No lock. S needs state_close() after success only. */
int state_open(
	struct state *s, const struct config *c, const struct config_set *set, struct err *err);
void state_close(struct state *s);
/* Waits at most MS. -EBUSY: another one holds it. Reads the generation again. */
int state_lock(struct state *s, uint64_t ms, struct err *err);
void state_unlock(struct state *s);

/* NEXT becomes the generation in force (copied), the one before goes to the history; what is too
 * old there is dropped. Locked. Idempotent. */
int state_set_generation(struct state *s, const struct generation *next, struct err *err);
/* BEFORE becomes the generation in force again (copied); the one that was it goes to the history as
 * undone, with WHY as its reason. Locked. Idempotent. */
int state_back_to(
	struct state *s, const struct generation *before, const char *why, struct err *err);
/* Into the history only. */
int state_set_aside(struct state *s, const struct generation *g, const char *why, struct err *err);
/* Removes contents that nothing needs, ALSO (may be NULL) does not need either. Locked. In memory
 * are one generation of the history at a time, and 32 bytes for each different content of all of
 * them: 10,000 files of which a tenth changes in each of 40 generations are 2 MB. */
int state_clean(struct state *s, const struct manifest *also);

/* History, newest first; number and reason of each. A damaged one has the reason "damaged: ...". */
struct state_past {
	struct generation *items; /* without files */
	size_t count;
};
int state_history(const struct state *s, struct state_past *ret, struct err *err);
void state_past_done(struct state_past *p);
/* By number (the newest one of it) or by the first 8 or more digits of its digest; the one in force
 * counts, too. -ENOENT. */
int state_past(const struct state *s, const char *which, struct generation *ret, struct err *err);

/* What the peer said last. */
struct state_peer {
	struct plan_side side;
	char definition[MANIFEST_HEX];
	int64_t time;      /* wall clock, for people */
	uint64_t boottime; /* ms of CLOCK_BOOTTIME, for "N s ago"; 0 = of another boot */
	bool reached;      /* the last attempt */
	char text[256];    /* why not */
};
int state_peer_read(const struct state *s, struct state_peer *ret);
int state_peer_write(const struct state *s, const struct state_peer *p);
/* The peer has called about this set: a new time at `peer`, which the daemon notices. */
void state_peer_called(const struct state *s);

struct state_trouble {
	enum plan_why why;
	bool held;   /* diverged: `held` has the peer's generation */
	bool failed; /* an attempt was refused or undone: text */
	/* Of the manifest whose reload failed: not tried again by itself; zeros = none. */
	uint8_t digest[MANIFEST_HASH];
	int64_t since;
	char text[1024]; /* printable lines */
};
/* False: none. */
bool state_trouble_read(const struct state *s, struct state_trouble *ret);
int state_trouble_write(const struct state *s, const struct state_trouble *t);
void state_trouble_clear(const struct state *s);
int state_held_write(const struct state *s, const struct generation *g, struct err *err);
int state_held_read(const struct state *s, struct generation *ret, struct err *err);

/* A frozen set: `hold SET`. */
bool state_is_frozen(const struct state *s);
int state_freeze(const struct state *s, bool on, struct err *err);

#endif
