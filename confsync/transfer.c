/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What both sides of a transaction share, and a transaction without a peer. The store has all
 * contents of a generation before it is prepared, so that each can be gone back to.
 */
#include "transfer_inner.h"

#include "beneath.h"
#include "hook.h"
#include "log.h"
#include "stage.h"
#include "store.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int by_hash(const void *a, const void *b)
{
	const struct entry *const *x = a, *const *y = b;

	return memcmp((*x)->hash, (*y)->hash, MANIFEST_HASH);
}

int contents_init(struct contents *c, const struct manifest *m)
{
	c->count = 0;
	c->at = calloc(m->count + 1, sizeof(struct entry *));
	if (!c->at)
		return -ENOMEM;
	for (size_t i = 0; i < m->count; i++) {
		if (m->entries[i].type == MANIFEST_FILE)
			c->at[c->count++] = &m->entries[i];
	}
	qsort(c->at, c->count, sizeof(struct entry *), by_hash);
	return 0;
}

void contents_done(struct contents *c)
{
	free(c->at);
	c->at = NULL;
	c->count = 0;
}

const struct entry *contents_find(const struct contents *c, const uint8_t hash[MANIFEST_HASH])
{
	struct entry key = {0};
	const struct entry *p = &key, **found;

	memcpy(key.hash, hash, MANIFEST_HASH);
	found = c->count ? bsearch(&p, c->at, c->count, sizeof(struct entry *), by_hash) : NULL;
	return found ? *found : NULL;
}

int transfer_store_file(
	struct store_batch *b, const struct entry *e, const struct contents *live, struct err *err)
{
	const struct entry *from;
	CLEANUP_FD int fd = -1;

	if (store_batch_has(b, e->hash))
		return 0;
	from = contents_find(live, e->hash);
	if (!from)
		return err_set(
			err, ENOENT, "%s: its content is neither kept nor in a file", e->path);
	fd = beneath_open(from->path, O_RDONLY);
	if (fd < 0)
		return err_sys(err, -fd, "%s", from->path);
	return store_batch_file(b, fd, e->hash, e->size, err);
}

int transfer_store(
	struct state *s, const struct manifest *want, const struct manifest *live, struct err *err)
{
	struct contents at;
	struct store_batch b;
	int r = contents_init(&at, live);

	if (r < 0)
		return err_sys(err, -r, "set %s", s->set->name);
	store_batch_init(&b, s->objects);
	for (size_t i = 0; i < want->count && r == 0; i++) {
		if (want->entries[i].type == MANIFEST_FILE)
			r = transfer_store_file(&b, &want->entries[i], &at, err);
	}
	contents_done(&at);
	if (r == 0)
		return store_batch_end(&b, err);
	store_batch_drop(&b);
	return r;
}

void transfer_reload_back(struct state *s, bool active)
{
	struct err err = {0};

	if (hook_reload(s->config, s->set, active, s->now.number, &err) < 0)
		log_error("set %s: after going back to generation %llu: %s", s->set->name,
			(unsigned long long)s->now.number, err.text);
}

void transfer_note_failure(
	struct state *s, const struct talk *t, int r, const struct err *err, const uint8_t *digest)
{
	struct state_trouble trouble = {.failed = true, .since = time(NULL)}, old;

	if (r == -EBUSY || (t && talk_dead(t) && !digest))
		return;
	/* What is said may be the peer's doing: neither that people are to resolve a divergence,
	 * nor what failed when it was reloaded, is forgotten for it. */
	if (!digest && state_trouble_read(s, &old)) {
		if (old.held)
			return;
		memcpy(trouble.digest, old.digest, MANIFEST_HASH);
	}
	trouble.why = PLAN_BECAUSE_UNUSABLE;
	snprintf(trouble.text, sizeof(trouble.text), "%s", err->text);
	if (digest)
		memcpy(trouble.digest, digest, MANIFEST_HASH);
	if (state_trouble_write(s, &trouble) < 0)
		log_error("set %s: cannot be noted: %s", s->set->name, err->text);
}

void transfer_note_peer(struct state *s, const struct generation *g)
{
	struct state_peer peer;

	if (state_peer_read(s, &peer) < 0)
		memset(&peer, 0, sizeof(peer));
	peer.side.number = g->number;
	peer.side.vector = g->vector;
	memcpy(peer.side.digest, g->digest, MANIFEST_HASH);
	memcpy(peer.side.live, g->digest, MANIFEST_HASH);
	peer.side.empty = !manifest_has_files(&g->files);
	peer.side.unusable = peer.side.in_doubt = false;
	peer.reached = true;
	peer.text[0] = 0;
	peer.time = time(NULL);
	if (state_peer_write(s, &peer) < 0)
		log_warn("set %s: what the peer has now cannot be noted", s->set->name);
}

void transfer_note_success(struct state *s, const struct generation *g, bool with_peer)
{
	state_trouble_clear(s);
	state_clean(s, NULL);
	if (with_peer)
		transfer_note_peer(s, g);
}

static int prepare_alone(struct apply *a, struct state *s, const struct manifest *live,
	const struct generation *next, struct err *err)
{
	int r = transfer_store(s, &next->files, live, err);

	if (r == 0)
		r = stage_validate(s, next, live, err);
	return r < 0 ? r : apply_prepare(a, s, APPLY_ALONE, next->transaction, live, next, err);
}

static void undo(struct apply *a, const struct err *why)
{
	struct err err = {0};

	if (apply_rollback(a, why->text, &err) < 0)
		log_error("set %s: going back failed, and is tried again: %s", a->state->set->name,
			err.text);
}

int transfer_alone(struct state *s, const struct manifest *live, const struct generation *next,
	bool active, struct err *err)
{
	struct apply a = {0};
	const uint8_t *digest = NULL;
	int r = prepare_alone(&a, s, live, next, err);

	if (r < 0)
		goto failed;
	r = apply_commit(&a, err);
	if (r == 0) {
		r = hook_reload(s->config, s->set, active, next->number, err);
		digest = r < 0 ? next->digest : NULL;
	}
	if (r < 0) {
		undo(&a, err);
		goto failed;
	}
	r = apply_finish(&a, err);
	apply_done(&a);
	transfer_note_success(s, next, false);
	return r;
failed:
	apply_done(&a);
	transfer_note_failure(s, NULL, r, err, digest);
	if (digest)
		transfer_restore(s, digest, active);
	return r;
}
