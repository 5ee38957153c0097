/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The receiver of a transaction. Until it has said `prepared` it may refuse, and everything is as
 * before; from then on the sender decides. If the connection is lost in between, the transaction
 * stays in doubt here until the sender has been asked (sync_outcome.c).
 */
#include "transfer_inner.h"

#include "hook.h"
#include "log.h"
#include "scan.h"
#include "stage.h"
#include "store.h"
#include "sync_inner.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct receive {
	struct talk *talk;
	struct state *state;
	const struct message *offer;
	bool active;
	const struct transfer_progress *progress;
	struct generation next;
	struct scan scan;
	struct contents live;
	const struct entry **need; /* of next, a content each */
	size_t need_count;
	uint64_t need_bytes;
	struct apply apply;
};

/* Does what they build on still hold? */
static int check_base(struct receive *x, struct err *err)
{
	const struct generation *now = &x->state->now, *next = &x->next;
	enum vector_order order = vector_compare(&next->vector, &now->vector);

	if (x->offer->number != now->number ||
		memcmp(x->offer->hash, now->digest, MANIFEST_HASH) != 0)
		return err_set(err, ESTALE, "the generation in force here is another one: %llu",
			(unsigned long long)now->number);
	if (next->number < now->number ||
		(order != VECTOR_AHEAD &&
			(order != VECTOR_EQUAL ||
				memcmp(next->digest, now->digest, MANIFEST_HASH) != 0)))
		return err_set(err, EPERM, "that generation does not follow the one in force here");
	return 0;
}

static int check_words(struct receive *x, struct err *err)
{
	const struct config_set *s = x->state->set;

	if (strcmp(x->next.set, s->name) != 0 ||
		strcmp(x->next.transaction, x->offer->transaction) != 0 ||
		x->next.transaction[0] == 0)
		return err_set(err, EPROTO, "offer and generation do not belong together");
	if (state_is_frozen(x->state))
		return err_set(err, EPERM, "set %s is on hold here", s->name);
	return transfer_allows(x->state->config, s, &x->next, err);
}

/* A path that was taken out of the other node's configuration looks there like files that are gone.
 */
static int check_deletions(struct receive *x, struct err *err)
{
	char mine[MANIFEST_HEX];
	uint8_t hash[MANIFEST_HASH];
	struct changes changes;
	size_t gone = 0;
	int r = config_definition(x->state->set, hash);

	hash_to_hex(hash, mine);
	if (r == 0 && strcmp(mine, x->offer->definition) == 0)
		return 0;
	if (r == 0)
		r = changes_between(&x->scan.files, &x->next.files, &changes);
	if (r < 0)
		return err_sys(err, -r, "set %s", x->state->set->name);
	for (size_t i = 0; i < changes.count; i++)
		gone += changes.items[i].kind == CHANGE_DELETE;
	changes_done(&changes);
	return gone == 0 ? 0
			 : err_set(err, EPERM,
				   "%zu files would be deleted, but the nodes define set %s in "
				   "different ways: make its section alike on both",
				   gone, x->state->set->name);
}

/* The files as they are: nothing that nobody has seen may be lost. */
static int look(struct receive *x, struct err *err)
{
	struct state *s = x->state;
	int r = scan_set(s->config, s->set, s->index, SCAN_QUICK, &x->scan, err);
	bool mine, theirs;

	if (r < 0)
		return r;
	if (x->scan.fault_count > 0)
		return err_set(err, EIO, "%s",
			x->scan.faults[0] ? x->scan.faults[0] : "files cannot be read");
	mine = memcmp(x->scan.digest, s->now.digest, MANIFEST_HASH) != 0 &&
		(s->now.number > 0 || manifest_has_files(&x->scan.files));
	theirs = memcmp(x->scan.digest, x->next.digest, MANIFEST_HASH) == 0;
	if (mine && !theirs && !x->offer->set_aside)
		return err_set(err, ESTALE, "files of set %s were edited here", s->set->name);
	r = contents_init(&x->live, &x->scan.files);
	return r < 0 ? err_sys(err, -r, "set %s", s->set->name) : 0;
}

static int take_generation(struct receive *x, struct err *err)
{
	int r = talk_receive_generation(x->talk, &x->next, err);

	if (r == 0)
		r = check_words(x, err);
	if (r == 0)
		r = check_base(x, err);
	if (r == 0)
		r = look(x, err);
	return r == 0 ? check_deletions(x, err) : r;
}

static int send_hashes(struct receive *x, struct err *err)
{
	uint8_t hashes[MESSAGE_HASHES_MAX][MANIFEST_HASH];
	size_t at = 0;

	for (;;) {
		size_t n = MIN_OF(x->need_count - at, (size_t)MESSAGE_HASHES_MAX);
		struct message m = {.kind = MESSAGE_HASHES, .hashes = hashes, .count = n};
		int r;

		for (size_t i = 0; i < n; i++)
			memcpy(hashes[i], x->need[at + i]->hash, MANIFEST_HASH);
		r = talk_send(x->talk, &m, err);
		if (r < 0 || n == 0)
			return r;
		at += n;
	}
}

/* Which contents are neither kept nor in a file here? What is in a file only is kept from now on.
 */
static int find_needs(struct receive *x, struct err *err)
{
	struct contents all;
	struct store_batch b;
	int r = contents_init(&all, &x->next.files);

	x->need = calloc(all.count + 1, sizeof(struct entry *));
	if (r < 0 || !x->need) {
		contents_done(&all);
		return err_set(err, ENOMEM, "no memory");
	}
	store_batch_init(&b, x->state->objects);
	for (size_t i = 0; i < all.count; i++) {
		const struct entry *e = all.at[i];

		if (i > 0 && memcmp(all.at[i - 1]->hash, e->hash, MANIFEST_HASH) == 0)
			continue;
		if (transfer_store_file(&b, e, &x->live, err) == 0)
			continue;
		x->need[x->need_count++] = e;
		x->need_bytes += e->size;
	}
	contents_done(&all);
	return store_batch_name(&b, err);
}

static int say_needs(struct receive *x, struct err *err)
{
	struct message m = {.kind = MESSAGE_NEED, .count = x->need_count, .size = x->need_bytes};
	int r = talk_send(x->talk, &m, err);

	return r < 0 ? r : send_hashes(x, err);
}

static int take_content(
	struct receive *x, const struct entry *e, struct store_batch *b, struct err *err)
{
	struct message m = {0};
	int r = talk_expect(x->talk, MESSAGE_DATA, &m, err);

	if (r < 0) {
		talk_kill(x->talk); /* nothing else may be said in the middle of contents */
		return r;
	}
	if (m.size != e->size || memcmp(m.hash, e->hash, MANIFEST_HASH) != 0) {
		talk_kill(x->talk);
		r = err_set(err, EPROTO, "a content was sent that was not asked for");
	} else {
		r = talk_receive_data(x->talk, &m, b, err);
	}
	message_done(&m);
	return r;
}

static int take_contents(struct receive *x, struct err *err)
{
	const struct transfer_progress *p = x->progress;
	struct err first = {0};
	struct store_batch b;
	uint64_t bytes = 0;
	int ret = 0, r;

	store_batch_init(&b, x->state->objects);
	/* All of them, also after one that cannot be kept: the sender listens only afterwards. */
	for (size_t i = 0; i < x->need_count; i++) {
		struct err e = {0};

		r = take_content(x, x->need[i], &b, &e);
		if (r < 0 && ret == 0) {
			first = e;
			ret = r;
		}
		if (talk_dead(x->talk))
			break;
		bytes += x->need[i]->size;
		if (p)
			p->fn(p->arg, "receiving", i + 1, x->need_count, bytes, x->need_bytes);
	}
	r = store_batch_end(&b, err); /* what came need not come again */
	if (ret < 0)
		*err = first;
	return ret < 0 ? ret : r;
}

static int prepare(struct receive *x, struct err *err)
{
	int r = find_needs(x, err);

	/* What came with offers that were given up does not add up; this one's is gone on with. */
	if (r == 0 && x->need_count > 0)
		state_clean(x->state, &x->next.files);
	if (r == 0)
		r = say_needs(x, err);
	if (r == 0)
		r = take_contents(x, err);
	if (r == 0)
		r = stage_validate(x->state, &x->next, &x->scan.files, err);
	if (r == 0 && x->offer->set_aside)
		r = sync_set_aside(x->state, &x->scan, "the peer's version was taken", err);
	if (r == 0)
		r = apply_prepare(&x->apply, x->state, APPLY_RECEIVER, x->next.transaction,
			&x->scan.files, &x->next, err);
	return r;
}

static int say(struct receive *x, enum message_kind kind, const char *text, struct err *err)
{
	return talk_refuse(x->talk, kind, text, err);
}

/* Everything as before; the reload command too, if it ran. WHY: for people. */
static int undo(struct receive *x, const char *why, bool reloaded, struct err *err)
{
	bool in_force = x->apply.phase >= APPLY_COMMITTING;
	int r = apply_rollback(&x->apply, why, err);

	if (r == 0 && reloaded)
		transfer_reload_back(x->state, x->active);
	err_set(r < 0 ? NULL : err, EREMOTEIO, "%s", why);
	transfer_note_failure(
		x->state, x->talk, r < 0 ? r : -EREMOTEIO, err, in_force ? x->next.digest : NULL);
	return r < 0 ? r : -EREMOTEIO;
}

static int finish(struct receive *x, struct err *err)
{
	int r;

	transfer_note_peer(x->state, &x->next);
	r = apply_finish(&x->apply, err);
	if (r < 0) {
		log_error("set %s: %s", x->state->set->name, err->text);
		say(x, MESSAGE_REFUSE, err->text, err);
		return r;
	}
	transfer_note_success(x->state, &x->next, true);
	return say(x, MESSAGE_OK, "", err);
}

/* After our answer to `commit`. FAILED: that it did not go well here. */
static int await_end(struct receive *x, const struct err *failed, bool reloaded, struct err *err)
{
	struct message m = {0};
	int r = talk_receive(x->talk, &m, err), ret;

	if (r < 0)
		return r; /* in doubt */
	if (m.kind == MESSAGE_FINISH && !failed->code) {
		ret = finish(x, err);
	} else if (m.kind == MESSAGE_ROLLBACK || m.kind == MESSAGE_FINISH) {
		struct err lost = {0};

		ret = undo(x, failed->code ? failed->text : m.text, reloaded, err);
		say(x, ret == -EREMOTEIO ? MESSAGE_OK : MESSAGE_REFUSE, err->text, &lost);
	} else {
		talk_kill(x->talk);
		ret = err_set(err, EPROTO, "it says %s where finish is due", message_name(m.kind));
	}
	message_done(&m);
	return ret;
}

static int commit(struct receive *x, struct err *err)
{
	struct err failed = {0};
	bool reloaded = false;
	int r = apply_commit(&x->apply, &failed);

	if (r == 0) {
		reloaded = true;
		r = hook_reload(
			x->state->config, x->state->set, x->active, x->next.number, &failed);
	}
	if (r == 0)
		failed.code = 0;
	r = say(x, MESSAGE_COMMITTED, failed.code ? failed.text : "ok", err);
	return r < 0 ? r : await_end(x, &failed, reloaded, err);
}

/* We have promised; what is said now decides. */
static int await_decision(struct receive *x, struct err *err)
{
	struct message m = {0};
	int r = talk_receive(x->talk, &m, err);

	if (r < 0)
		return r; /* in doubt */
	if (m.kind == MESSAGE_COMMIT) {
		r = commit(x, err);
	} else if (m.kind == MESSAGE_ABORT) {
		r = undo(x, m.text, false, err);
	} else {
		talk_kill(x->talk);
		r = err_set(err, EPROTO, "it says %s where commit is due", message_name(m.kind));
	}
	message_done(&m);
	return r;
}

static int refuse(struct receive *x, int r, struct err *err)
{
	struct err lost = {0};

	if (!talk_dead(x->talk))
		say(x, MESSAGE_REFUSE, err->text, &lost);
	transfer_note_failure(x->state, x->talk, r, err, NULL);
	return r;
}

int transfer_receive(struct talk *t, struct state *s, const struct message *offer, bool active,
	const struct transfer_progress *p, struct err *err)
{
	struct receive x = {.talk = t, .state = s, .offer = offer, .active = active, .progress = p};
	int r;

	generation_init(&x.next);
	r = take_generation(&x, err);
	if (r == 0)
		r = prepare(&x, err);
	if (r < 0) {
		r = refuse(&x, r, err);
	} else {
		struct message m = {.kind = MESSAGE_PREPARED};

		r = talk_send(t, &m, err);
		r = r < 0 ? r : await_decision(&x, err);
	}
	apply_done(&x.apply);
	contents_done(&x.live);
	scan_done(&x.scan);
	generation_done(&x.next);
	free(x.need);
	return r;
}
