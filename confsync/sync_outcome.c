/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How transactions ended that were cut off. Who sent decides alone: what it had not decided is
 * given up, what it had committed is reloaded again and finished, or rolled back if that fails. Who
 * received asks, or is told: in force at the sender -> finish, else roll back.
 */
#include "sync_inner.h"

#include "hook.h"
#include "log.h"
#include "transfer_inner.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* S is locked by somebody who called us, or by us. */
static int lock(struct state *s, bool *ours, struct err *err)
{
	int r = 0;

	*ours = s->lock < 0;
	if (*ours)
		r = state_lock(s, SYNC_LOCK_MS, err);
	return r;
}

static void unlock(struct state *s, bool ours)
{
	if (ours)
		state_unlock(s);
}

static int reload(struct apply *a, struct err *err)
{
	struct state *s = a->state;

	return hook_reload(
		s->config, s->set, sync_is_active(s->config, s->set), s->now.number, err);
}

static int roll_back(struct apply *a, const char *why, struct err *err)
{
	bool in_force = a->phase >= APPLY_COMMITTING;
	struct state *s = a->state;
	int r = apply_rollback(a, why, err);

	if (r == 0 && in_force)
		transfer_reload_back(s, sync_is_active(s->config, s->set));
	return r;
}

/* A transaction of our own that is in force: does it work? */
static int settle_own(struct apply *a, struct err *err)
{
	struct err why = {0};
	struct state *s = a->state;
	uint8_t digest[MANIFEST_HASH];
	int r;

	memcpy(digest, a->next.digest, MANIFEST_HASH);
	if (reload(a, &why) == 0)
		return apply_finish(a, err);
	r = apply_rollback(a, why.text, err);
	if (r < 0)
		return r;
	transfer_note_failure(s, NULL, -EREMOTEIO, &why, digest);
	transfer_restore(s, digest, sync_is_active(s->config, s->set));
	return 0;
}

/* Locked. A is to be given to apply_done() after success. */
static int recover(struct apply *a, struct state *s, bool *in_doubt, struct err *err)
{
	int r;

	memset(a, 0, sizeof(*a));
	r = apply_recover(a, s, err);
	if (r < 0)
		return r;
	*in_doubt = a->phase != APPLY_NONE && a->role == APPLY_RECEIVER;
	if (a->phase != APPLY_NONE && !*in_doubt)
		r = settle_own(a, err);
	if (r < 0)
		apply_done(a);
	return r;
}

/* Locks. After success A is there, until end(). */
static int begin(struct apply *a, struct state *s, bool *in_doubt, bool *ours, struct err *err)
{
	int r = lock(s, ours, err);

	if (r < 0)
		return r;
	r = recover(a, s, in_doubt, err);
	if (r < 0)
		unlock(s, *ours);
	return r;
}

static void end(struct apply *a, struct state *s, bool ours)
{
	apply_done(a);
	unlock(s, ours);
}

int sync_recover(
	struct state *s, bool *in_doubt, char transaction[GENERATION_ID_MAX], struct err *err)
{
	struct apply a;
	bool ours;
	int r;

	*in_doubt = false;
	transaction[0] = 0;
	if (apply_peek(s, transaction) == APPLY_NONE)
		return 0;
	r = begin(&a, s, in_doubt, &ours, err);
	if (r < 0)
		return r;
	snprintf(transaction, GENERATION_ID_MAX, "%s", *in_doubt ? a.transaction : "");
	end(&a, s, ours);
	return 0;
}

/* In force at the sender, which has finished: stays here, whatever our reload command says. */
static int go_forward(struct apply *a, struct err *err)
{
	struct state *s = a->state;
	struct generation next;
	struct err why = {0};
	int r = a->phase == APPLY_PREPARED ? apply_commit(a, err) : 0, reloaded;

	if (r < 0) { /* edited here since: both versions are kept, and will be held */
		why = *err;
		r = roll_back(a, why.text, err);
		if (r == 0)
			transfer_note_failure(s, NULL, -ESTALE, &why, NULL);
		return r;
	}
	reloaded = reload(a, &why);
	r = generation_copy(&next, &a->next);
	if (r < 0)
		return err_sys(err, -r, "set %s", s->set->name);
	transfer_note_peer(s, &next);
	r = apply_finish(a, err);
	if (r == 0 && reloaded == 0)
		transfer_note_success(s, &next, true);
	else if (r == 0)
		transfer_note_failure(s, NULL, -EREMOTEIO, &why, next.digest);
	generation_done(&next);
	return r;
}

static int settle(struct apply *a, enum message_result result, struct err *err)
{
	switch (result) {
	case MESSAGE_RESULT_COMMIT:
		log_info("set %s: the sender has committed: so do we", a->state->set->name);
		return go_forward(a, err);
	case MESSAGE_RESULT_ABORT:
		log_info("set %s: the sender has given up: so do we", a->state->set->name);
		return roll_back(a, "the sender gave it up", err);
	case MESSAGE_RESULT_UNKNOWN:
		break;
	}
	return err_set(err, EAGAIN, "set %s: the peer does not know yet how a transaction ends",
		a->state->set->name);
}

int sync_told_outcome(
	struct state *s, const char *transaction, enum message_result result, struct err *err)
{
	struct apply a;
	bool in_doubt, ours;
	int r = begin(&a, s, &in_doubt, &ours, err);

	if (r < 0)
		return r;
	if (in_doubt && strcmp(a.transaction, transaction) == 0)
		r = settle(&a, result, err);
	end(&a, s, ours);
	return r;
}

/* The answer is used under the lock that the question was asked under. */
int sync_ask_outcome(struct talk *t, struct state *s, struct err *err)
{
	struct message m = {.kind = MESSAGE_OUTCOME_ASK}, answer = {0};
	bool in_doubt, ours;
	int r = lock(s, &ours, err);

	if (r < 0)
		return r;
	r = sync_recover(s, &in_doubt, m.transaction, err);
	if (r == 0 && in_doubt) {
		snprintf(m.set, sizeof(m.set), "%s", s->set->name);
		r = talk_send(t, &m, err);
		if (r == 0)
			r = talk_expect(t, MESSAGE_OUTCOME, &answer, err);
		if (r == 0) {
			r = sync_told_outcome(s, m.transaction, answer.result, err);
			message_done(&answer);
		}
	}
	unlock(s, ours);
	return r;
}

int sync_outcome(struct state *s, const char *transaction, struct err *err)
{
	char mine[GENERATION_ID_MAX];
	bool in_doubt, ours;
	int r = lock(s, &ours, err);

	if (r < 0)
		return r;
	r = sync_recover(s, &in_doubt, mine, err);
	if (r == 0 && in_doubt && strcmp(mine, transaction) == 0)
		r = MESSAGE_RESULT_UNKNOWN; /* neither of us sent it? */
	else if (r == 0)
		r = apply_outcome(s, transaction);
	unlock(s, ours);
	return r;
}

int sync_tell_outcome(struct talk *t, struct state *s, const char *transaction, struct err *err)
{
	struct message m = {.kind = MESSAGE_OUTCOME};
	int r = sync_outcome(s, transaction, err);

	if (r < 0)
		return r;
	m.result = (enum message_result)r;
	snprintf(m.set, sizeof(m.set), "%s", s->set->name);
	snprintf(m.transaction, sizeof(m.transaction), "%s", transaction);
	r = talk_send(t, &m, err);
	if (r == 0)
		r = talk_expect(t, MESSAGE_OK, &m, err);
	if (r == 0)
		message_done(&m);
	return r;
}

int sync_settle_alone(struct state *s, struct err *err)
{
	struct apply a;
	bool in_doubt, ours;
	int r = begin(&a, s, &in_doubt, &ours, err);

	if (r < 0)
		return r;
	/* What is in force stays in force. */
	if (in_doubt)
		r = a.phase == APPLY_COMMITTED
			? settle(&a, MESSAGE_RESULT_COMMIT, err)
			: roll_back(&a, "the peer was powered off before it decided", err);
	end(&a, s, ours);
	return r;
}
