/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The live files of a set beside another version of it: the peer's, or one of the history. */
#ifndef CONFSYNC_COMPARE_H
#define CONFSYNC_COMPARE_H

#include "config.h"
#include "scan.h"
#include "state.h"
#include "talk.h"

struct compare {
	struct state state;
	struct scan scan;        /* here */
	struct generation other; /* files only */
	struct changes changes;  /* points into the two above */
};

/* compare_done() is due in any case. */
int compare_open(const struct config *c, const struct config_set *set, bool full,
	struct compare *ret, struct err *err);
void compare_done(struct compare *x);
/* What to compare with: the peer's live files, one of the history, the one in force. Once. */
int compare_peer(struct compare *x, struct talk *t, struct err *err);
int compare_past(struct compare *x, const char *which, struct err *err);
int compare_now(struct compare *x, struct err *err);
/* What makes the files here of the other ones, or (TO_OTHER) the reverse. */
int compare_make(struct compare *x, bool to_other, struct err *err);

/* A descriptor in memory with the content of E, which is a file, or NULL for nothing. Here: from
 * the live file; -EAGAIN: it was changed since. There: from the store, and with T from the peer if
 * it is not in it. */
int compare_read_here(const struct entry *e, struct err *err);
int compare_read_other(struct compare *x, struct talk *t, const struct entry *e, struct err *err);

#endif
