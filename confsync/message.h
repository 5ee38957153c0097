/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages of a conversation (frames TEXT of wire.h), JSON objects with "m" = kind. Pure. Who
 * called is the initiator, who was called (by sshd, as a forced command) the responder. First both
 * say `hello`. Then the initiator asks, one question at a time:
 *
 *	state-ask {set}
 *		-> state {set, plan_side, fenced, txn}
 *		fenced: I know that you were shot; txn: the transaction this side is in doubt about
 *	offer {...}, GENERATION
 *		-> the transaction below, the initiator is the sender
 *	fetch {set, publish, reason, vector, number, digest, set_aside}
 *		-> the transaction below with the responder as the sender, or `refuse`
 *		vector, number, digest: the asker's generation
 *	outcome-ask {set, txn}
 *		-> outcome {set, txn, result}, result: "commit", "abort", "unknown"
 *	outcome {set, txn, result}
 *		-> ok; the initiator tells how its transaction ended
 *	show {set}
 *		-> ok, GENERATION of the live files; for diff and resolve
 *	get {set, hash}
 *		-> data {hash, size}, DATA...; a content of the set's live files or history
 *	agree {set, vector, digest, number}
 *		-> ok; PLAN_AGREE
 *	bye
 *
 * A transaction, sender S and receiver R (S decides); instead of each answer of R, and of the
 * offer, there may be refuse {why}:
 *
 *	S: offer {set, txn, digest, number, set_aside, definition}, GENERATION frame
 *		digest, number: of R's generation, which it builds on
 *	R: need {count, bytes}, hashes {list} as many as needed; an empty list is the end
 *	S: for each in that order: data {hash, size}, DATA frames that add up to size
 *	R: prepared {}            staged, validated, durable
 *	S: commit {}              its decision is on disk; or abort {why}
 *	R: committed {reload}     "ok", or text of the failure
 *	S: finish {} or rollback {why}
 *	R: ok {}
 *
 * An unknown field is passed over, an unknown kind is answered by `refuse`; a lacking or wrong
 * field ends the conversation.
 */
#ifndef CONFSYNC_MESSAGE_H
#define CONFSYNC_MESSAGE_H

#include "generation.h"
#include "plan.h"

enum { MESSAGE_VERSION = 1, MESSAGE_TEXT_MAX = 1024, MESSAGE_HASHES_MAX = 500 };

enum message_kind {
	MESSAGE_HELLO,
	MESSAGE_STATE_ASK,
	MESSAGE_STATE,
	MESSAGE_OFFER,
	MESSAGE_FETCH,
	MESSAGE_OUTCOME_ASK,
	MESSAGE_OUTCOME,
	MESSAGE_SHOW,
	MESSAGE_GET,
	MESSAGE_DATA,
	MESSAGE_AGREE,
	MESSAGE_NEED,
	MESSAGE_HASHES,
	MESSAGE_REFUSE,
	MESSAGE_PREPARED,
	MESSAGE_COMMIT,
	MESSAGE_ABORT,
	MESSAGE_COMMITTED,
	MESSAGE_FINISH,
	MESSAGE_ROLLBACK,
	MESSAGE_OK,
	MESSAGE_BYE,
};
enum message_result { MESSAGE_RESULT_UNKNOWN, MESSAGE_RESULT_COMMIT, MESSAGE_RESULT_ABORT };

/* One struct for all kinds; which fields a kind has is the table in message.c. */
struct message {
	enum message_kind kind;
	uint64_t version;
	char node[GENERATION_NAME_MAX]; /* hello: who I am */
	char set[GENERATION_NAME_MAX];
	/* State, offer: digest of the set's paths and rules in the node's configuration. */
	char definition[MANIFEST_HEX];
	char transaction[GENERATION_ID_MAX];
	struct plan_side side; /* state */
	struct vector vector;  /* agree */
	uint64_t number;       /* agree, offer: of the receiver's generation that it builds on */
	uint8_t hash[MANIFEST_HASH]; /* get, data, agree and offer: digest it builds on */
	uint64_t size, count;
	bool fenced, set_aside, publish;
	enum message_result result;
	char text[MESSAGE_TEXT_MAX];      /* why, reason, reload: printable */
	uint8_t (*hashes)[MANIFEST_HASH]; /* hashes: malloc'd, count of them */
};

void message_done(struct message *m);
/* malloc'd text without newline, characters of TEXT that are not printable as \xNN; NULL without
 * memory. At most MESSAGE_HASHES_MAX hashes. */
char *message_print(const struct message *m);
/* RET is to be given to message_done() after success. 0; -EOPNOTSUPP: of a kind that is not known
 * here; -EPROTO and why. */
int message_parse(const char *text, size_t len, struct message *ret, struct err *err);
const char *message_name(enum message_kind kind);

#endif
