/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a set stands, in a word: what `status` says. From what this node knows, without asking the
 * peer: its own files, its state, and what the peer said last. standing_judge() is pure.
 */
#ifndef CONFSYNC_STANDING_H
#define CONFSYNC_STANDING_H

#include "apply.h"
#include "config.h"
#include "plan.h"
#include "state.h"

#include <jansson.h>
#include <stdbool.h>

enum standing_kind {
	STANDING_IN_STEP,
	STANDING_LOCAL,    /* of this node alone */
	STANDING_PENDING,  /* the peer lacks what is here */
	STANDING_BEHIND,   /* this node lacks what the peer has */
	STANDING_IN_DOUBT, /* a transaction has not come to its end */
	STANDING_UNKNOWN,  /* cannot tell */
	STANDING_DRIFT,    /* edited where it is not to be */
	STANDING_HELD,     /* both have changes */
	STANDING_REFUSED,  /* the last attempt failed, or the files cannot be used */
	STANDING_FROZEN,   /* `hold add` */
};

/* What is known. */
struct standing_facts {
	const char *peer_name;
	enum plan_writer writer;
	bool local, frozen;
	struct plan_side me;
	const char *failure; /* why ME could not be found out; NULL = it was */
	const char *fault;   /* the first one of the scan; NULL = none */
	size_t fault_count;
	enum apply_phase phase;
	bool busy; /* somebody is at it just now */
	bool has_trouble, has_peer;
	struct state_trouble trouble;
	struct state_peer peer;
	bool peer_fenced;
	/* What the peer says now (status --peer). */
	const struct plan *asked;
};

struct standing {
	const struct config_set *set;
	enum standing_kind kind;
	bool edited;
	int64_t since;   /* wall clock; 0 = not known */
	char text[1200]; /* why: printable; "" = nothing to say */
	uint64_t number;
	uint8_t digest[MANIFEST_HASH];
	bool has_peer;
	struct state_peer peer;
};

/* Kind, since and text. */
void standing_judge(const struct standing_facts *f, struct standing *ret);

/* ROLE: what hook_role() said before, -2 = not yet asked; kept for the next set, and asked for only
 * if it matters. FULL: SCAN_FULL. ASKED as above. */
enum { STANDING_ROLE_UNKNOWN = -2 };
void standing_find(const struct config *c, const struct config_set *set, bool full, int *role,
	const struct plan *asked, struct standing *ret);

/* May this node take over, as far as SET goes? Nothing newer is known of the peer, or it was
 * powered off since. False: WHY. Looks at no files. */
bool standing_may_take_over(
	const struct config *c, const struct config_set *set, char *why, size_t room);

const char *standing_word(enum standing_kind k);
int standing_exit(enum standing_kind k); /* COMMAND_* */
/* One line for people, without its newline. */
void standing_line(const struct standing *s, const char *peer_name, char *out, size_t room);
json_t *standing_document(const struct standing *s);

#endif
