/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is to be done about a set, from what both nodes say of it. Pure; every case is in one table
 * of plan.c, and both nodes come to the same result with the sides exchanged. Never is anything
 * decided by time.
 *
 * A node's changes are what it edited since its generation, and generations that the other one does
 * not know. Changes of one node go to the other if the writer rule or a wish lets them; changes of
 * both are held. Changes lose only to `resolve`, or when their node was fenced after them, and are
 * kept in the history of that node (set_aside). The one who sends has nothing but the generation it
 * sends: whoever has edited files publishes them, or waits. A node that had files and has none now
 * publishes that only if somebody asks for it: a folder that is not mounted must not empty the
 * peer.
 */
#ifndef CONFSYNC_PLAN_H
#define CONFSYNC_PLAN_H

#include "generation.h"

enum plan_writer { PLAN_ACTIVE, PLAN_MANUAL, PLAN_ANY }; /* key `writer` of a set */

/* A node's side of a set. */
struct plan_side {
	uint64_t number;      /* generation in force; 0: none yet, the set was never synchronised */
	struct vector vector; /* of it */
	uint8_t digest[MANIFEST_HASH]; /* of it */
	uint8_t live[MANIFEST_HASH];   /* of the files as they are; not `digest`: edited since */
	bool empty;    /* there are no files of the set at all; folders do not count */
	bool active;   /* so says the role command; not used of MANUAL and ANY */
	bool unusable; /* files cannot be read, or are refused by a validator: not to be sent */
	bool in_doubt; /* holds a transaction that is neither decided nor given up */
};

/* What somebody asked for. */
enum plan_wish {
	PLAN_AUTO,        /* daemon, `sync` */
	PLAN_PUSH,        /* `push`: send mine; the writer rule holds; nothing is fetched */
	PLAN_PUSH_HERE,   /* `push --from-here`: the writer rule does not hold */
	PLAN_PULL,        /* `pull`: take the peer's, as if it were pushed from there */
	PLAN_KEEP_MINE,   /* `resolve --mine`: mine wins, whatever the peer has */
	PLAN_KEEP_THEIRS, /* `resolve --theirs` */
};

enum plan_action {
	PLAN_NOTHING, /* in step */
	PLAN_SETTLE,  /* in doubt: ask how it ended, then plan again */
	PLAN_AGREE, /* contents are equal, only the vectors differ: join them, no file is touched */
	/* Make a generation of my live files, then SEND it; its vector is both vectors joined and
	 * one more change of mine, so that it is ahead of both. */
	PLAN_PUBLISH,
	PLAN_SEND,          /* the peer is behind: it gets my generation; I am not edited */
	PLAN_FETCH,         /* the reverse */
	PLAN_FETCH_PUBLISH, /* the peer is to publish its live files and send them */
	PLAN_HOLD,          /* keep both, tell people */
	PLAN_WAIT,          /* there is a change, but it may not be sent now (see `why`) */
};

enum plan_why {
	PLAN_BECAUSE_IN_STEP,
	PLAN_BECAUSE_AHEAD,
	PLAN_BECAUSE_BEHIND,
	PLAN_BECAUSE_BOTH,       /* both changed it */
	PLAN_BECAUSE_FIRST,      /* first contact, and the files differ; or it is still to come */
	PLAN_BECAUSE_DRIFT_HERE, /* edited here, which is not the active node */
	PLAN_BECAUSE_DRIFT_THERE,
	PLAN_BECAUSE_MANUAL,   /* waits for `push` */
	PLAN_BECAUSE_UNUSABLE, /* here */
	PLAN_BECAUSE_UNUSABLE_THERE,
	PLAN_BECAUSE_FENCED, /* the peer was powered off, verified: its changes are set aside */
	PLAN_BECAUSE_WISH,
	PLAN_BECAUSE_TWO_ACTIVE, /* both say that they are active */
	PLAN_BECAUSE_EMPTIED,    /* all files of the generation here are gone: waits for `push` */
	PLAN_BECAUSE_EMPTIED_THERE,
	PLAN_BECAUSE_IN_DOUBT,
};

struct plan {
	enum plan_action action;
	enum plan_why why;
	/* With SEND/FETCH/PUBLISH: the receiver has changes of its own that lose; it keeps them in
	 * its history. */
	bool set_aside;
};

/* PEER_FENCED: the peer was shot, verified, since we last spoke with it; ME_FENCED: it says so of
 * us. Both: neither counts. */
struct plan plan_make(const struct plan_side *me, const struct plan_side *peer,
	enum plan_writer writer, enum plan_wish wish, bool peer_fenced, bool me_fenced);

/* The peer cannot be reached. PUBLISH: a generation is to be made here and waits for the peer;
 * NOTHING, WAIT. Before the first contact nothing is published: else both had a first generation
 * that the other one does not know. */
struct plan plan_alone(const struct plan_side *me, enum plan_writer writer, enum plan_wish wish);

/* There is a generation, but no file any more. */
bool plan_is_emptied(const struct plan_side *s);

const char *plan_action_text(enum plan_action a); /* "send": for logs and JSON */
const char *plan_why_text(enum plan_why w);       /* "both nodes changed it": for people */

#endif
