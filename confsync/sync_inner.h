/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the parts of sync.h, and for serve.c. */
#ifndef CONFSYNC_SYNC_INNER_H
#define CONFSYNC_SYNC_INNER_H

#include "apply.h"
#include "scan.h"
#include "sync.h"

enum { SYNC_LOCK_MS = 2000 };

/* sync_side.c */

/* A generation that follows ours and the peer's: FILES, both vectors joined, one more change of
 * ours. RET need not be initialised; generation_done() after success. */
int sync_next(const struct state *s, const struct manifest *files, const struct vector *peer_vector,
	uint64_t peer_number, const char *reason, struct generation *ret, struct err *err);
/* The files as they are, with number and vector of ours. RET as above. */
int sync_live(const struct state *s, const struct scan *scan, const char *reason,
	struct generation *ret, struct err *err);
/* Files edited here go to the history and their contents to the store; nothing to do if they are
 * what is in force. Locked. */
int sync_set_aside(struct state *s, const struct scan *scan, const char *why, struct err *err);
bool sync_same_side(const struct plan_side *a, const struct plan_side *b);
bool sync_same(const uint8_t a[MANIFEST_HASH], const uint8_t b[MANIFEST_HASH]);

/* sync_outcome.c */

/* Goes on with what a crash has left. Ours is settled; *in_doubt: the peer has to be asked about
 * TRANSACTION. Locks for itself, if S is not locked. */
int sync_recover(
	struct state *s, bool *in_doubt, char transaction[GENERATION_ID_MAX], struct err *err);
/* The receiver in doubt asks, or was told. -EAGAIN: it is not decided yet. */
int sync_ask_outcome(struct talk *t, struct state *s, struct err *err);
int sync_told_outcome(
	struct state *s, const char *transaction, enum message_result result, struct err *err);
/* How did it end here? Settles ours first. */
int sync_outcome(struct state *s, const char *transaction, struct err *err);
/* The initiator tells a peer in doubt. */
int sync_tell_outcome(struct talk *t, struct state *s, const char *transaction, struct err *err);
/* Nobody can be asked, as the peer was powered off, verified. */
int sync_settle_alone(struct state *s, struct err *err);

/* sync_agree.c */

/* PLAN_AGREE, who asks; and who is asked. LIVE: the files here. */
int sync_agree(struct talk *t, struct state *s, const struct scan *scan, const struct plan_side *me,
	const struct plan_side *peer, struct err *err);
int sync_agreed(struct state *s, const struct message *m, struct err *err);
/* PLAN_HOLD: the peer's version is fetched, people are told. */
int sync_hold(struct talk *t, struct state *s, const struct plan *plan,
	const struct plan_side *peer, struct err *err);

/* transfer_alone(), transfer_send() and transfer_receive() with the role of this node. */
bool sync_is_active(const struct config *c, const struct config_set *s);

#endif
