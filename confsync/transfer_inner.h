/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the parts of transfer.h: contents, checks, and what is kept of the end. */
#ifndef CONFSYNC_TRANSFER_INNER_H
#define CONFSYNC_TRANSFER_INNER_H

#include "store.h"
#include "transfer.h"

/* Files of a manifest by their content. */
struct contents {
	const struct entry **at; /* sorted by hash */
	size_t count;
};
int contents_init(struct contents *c, const struct manifest *m);
void contents_done(struct contents *c);
const struct entry *contents_find(const struct contents *c, const uint8_t hash[MANIFEST_HASH]);

/* Puts E's content into the store, if it is not there, from the live file that has it. -ENOENT:
 * there is none; -EAGAIN: it is being changed. */
int transfer_store_file(
	struct store_batch *b, const struct entry *e, const struct contents *live, struct err *err);
/* The same for all files of WANT, and makes it durable. */
int transfer_store(
	struct state *s, const struct manifest *want, const struct manifest *live, struct err *err);

/* May G become S's generation, as far as this node's configuration goes? (transfer_check.c) */
int transfer_allows(const struct config *c, const struct config_set *s, const struct generation *g,
	struct err *err);
/* The part of it that is about number and vector; also for one that is made here of what the peer
 * says: a number too large could not be read again. */
int transfer_allows_counts(const struct config *c, const struct generation *g, struct err *err);

/* A generation with this digest was refused by a reload command and rolled back: the files too are
 * those in force again, if they are still the refused ones, and what is in force is reloaded.
 * Failures are logged only. Locked. */
void transfer_restore(struct state *s, const uint8_t refused[MANIFEST_HASH], bool active);
/* Runs the reload command again for what is in force after something was undone; a failure is
 * logged only. */
void transfer_reload_back(struct state *s, bool active);

/* It failed with R: kept for people; DIGEST: what is not to be tried again by itself, NULL = may
 * be. Not what will be tried again anyway (busy, connection lost). */
void transfer_note_failure(
	struct state *s, const struct talk *t, int r, const struct err *err, const uint8_t *digest);
/* The peer has G in force. Before apply_finish(), so that a crash in it leaves no old knowledge. */
void transfer_note_peer(struct state *s, const struct generation *g);
/* G is in force on both nodes (WITH_PEER), or here. */
void transfer_note_success(struct state *s, const struct generation *g, bool with_peer);

#endif
