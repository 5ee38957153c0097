/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sender of a transaction. It decides: when the receiver has promised, and nothing of ours was
 * changed meanwhile, the decision is on disk before it is said. Then, if the connection is lost, it
 * goes forward alone, as the receiver will ask. A generation that is in force here already, with
 * the files as it says, needs nothing here but to be sent.
 */
#include "transfer_inner.h"

#include "hook.h"
#include "log.h"
#include "stage.h"
#include "store.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct send {
	struct talk *talk;
	struct state *state;
	const struct manifest *live;
	const struct generation *next;
	const struct plan_side *peer;
	bool set_aside, active;
	const struct transfer_progress *progress;
	bool changes; /* something here, too */
	uint8_t (*need)[MANIFEST_HASH];
	size_t need_count;
	uint64_t need_bytes;
	struct contents contents;
	struct apply apply;
};

static bool is_in_force(const struct send *x)
{
	const struct generation *now = &x->state->now;
	uint8_t live[MANIFEST_HASH];

	return now->number == x->next->number &&
		strcmp(now->transaction, x->next->transaction) == 0 &&
		memcmp(now->digest, x->next->digest, MANIFEST_HASH) == 0 &&
		manifest_digest(x->live, live) == 0 &&
		memcmp(live, now->digest, MANIFEST_HASH) == 0;
}

/* Our own part, before the peer hears of it. */
static int prepare(struct send *x, struct err *err)
{
	struct state *s = x->state;
	int r = transfer_store(s, &x->next->files, x->live, err);

	if (r == 0)
		r = contents_init(&x->contents, &x->next->files) < 0
			? err_set(err, ENOMEM, "no memory")
			: 0;
	x->changes = !is_in_force(x);
	if (r < 0 || !x->changes)
		return r;
	r = stage_validate(s, x->next, x->live, err);
	return r < 0 ? r
		     : apply_prepare(&x->apply, s, APPLY_SENDER, x->next->transaction, x->live,
			       x->next, err);
}

static int offer(struct send *x, struct err *err)
{
	struct message m = {
		.kind = MESSAGE_OFFER, .number = x->peer->number, .set_aside = x->set_aside};
	uint8_t definition[MANIFEST_HASH];
	int r = config_definition(x->state->set, definition);

	if (r < 0)
		return err_sys(err, -r, "set %s", x->state->set->name);
	hash_to_hex(definition, m.definition);
	snprintf(m.set, sizeof(m.set), "%s", x->state->set->name);
	snprintf(m.transaction, sizeof(m.transaction), "%s", x->next->transaction);
	memcpy(m.hash, x->peer->digest, MANIFEST_HASH);
	r = talk_send(x->talk, &m, err);
	return r < 0 ? r : talk_send_generation(x->talk, x->next, err);
}

static int nonsense(struct send *x, const char *what, struct err *err)
{
	talk_kill(x->talk);
	return err_set(err, EPROTO, "what the peer asks for makes no sense: %s", what);
}

static int take_hashes(struct send *x, const struct message *m, size_t *have, struct err *err)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct entry *e = contents_find(&x->contents, m->hashes[i]);

		if (*have == x->need_count || !e)
			return nonsense(x, "a content that is not in the offer", err);
		memcpy(x->need[(*have)++], m->hashes[i], MANIFEST_HASH);
		x->need_bytes += e->size;
	}
	return 0;
}

/* What the peer has not. */
static int hear_needs(struct send *x, struct err *err)
{
	struct message m = {0};
	size_t have = 0;
	bool end = false;
	int r = talk_expect(x->talk, MESSAGE_NEED, &m, err);

	if (r < 0)
		return r;
	if (m.count > x->contents.count)
		return nonsense(x, "more contents than files", err);
	x->need_count = (size_t)m.count;
	x->need = calloc(x->need_count + 1, MANIFEST_HASH);
	if (!x->need)
		return nonsense(x, "no memory for it", err);
	while (!end) {
		r = talk_expect(x->talk, MESSAGE_HASHES, &m, err);
		if (r < 0)
			return r;
		end = m.count == 0;
		r = take_hashes(x, &m, &have, err);
		message_done(&m);
		if (r < 0)
			return r;
	}
	return have == x->need_count ? 0 : nonsense(x, "fewer contents than announced", err);
}

static int send_content(
	struct send *x, const uint8_t hash[MANIFEST_HASH], uint64_t *bytes, struct err *err)
{
	const struct entry *e = contents_find(&x->contents, hash);
	CLEANUP_FD int fd = store_open(x->state->objects, hash);

	if (fd < 0) {
		talk_kill(x->talk);
		return err_sys(err, -fd, "%s: its content that is kept", e->path);
	}
	*bytes += e->size;
	return talk_send_data(x->talk, hash, e->size, fd, err);
}

static int send_contents(struct send *x, struct err *err)
{
	const struct transfer_progress *p = x->progress;
	uint64_t bytes = 0;

	for (size_t i = 0; i < x->need_count; i++) {
		int r = send_content(x, x->need[i], &bytes, err);

		if (r < 0)
			return r;
		if (p)
			p->fn(p->arg, "sending", i + 1, x->need_count, bytes, x->need_bytes);
	}
	return 0;
}

/* Until the peer has promised. */
static int propose(struct send *x, struct err *err)
{
	struct message m = {0};
	int r = offer(x, err);

	if (r == 0)
		r = hear_needs(x, err);
	if (r == 0)
		r = send_contents(x, err);
	if (r == 0)
		r = talk_expect(x->talk, MESSAGE_PREPARED, &m, err);
	if (r == 0)
		message_done(&m);
	return r;
}

/* As before, here. */
static void undo(struct send *x, const char *why)
{
	struct err err = {0};

	if (!x->changes || x->apply.phase == APPLY_NONE)
		return;
	if (apply_rollback(&x->apply, why, &err) < 0)
		log_error("set %s: going back failed, and is tried again: %s", x->state->set->name,
			err.text);
}

/* After undo() of what was in force. */
static int refused(struct send *x, const char *why, struct err *err)
{
	err_set(err, EREMOTEIO, "%s", why);
	transfer_note_failure(x->state, x->talk, -EREMOTEIO, err, x->next->digest);
	if (x->changes)
		transfer_restore(x->state, x->next->digest, x->active);
	return -EREMOTEIO;
}

static int reload(struct send *x, struct err *err)
{
	return x->changes
		? hook_reload(x->state->config, x->state->set, x->active, x->next->number, err)
		: 0;
}

static int finish(struct send *x, struct err *err)
{
	return x->changes ? apply_finish(&x->apply, err) : 0;
}

/* Both have it, and it did not go well on one: back, on both. */
static int take_back(struct send *x, const char *why, struct err *err)
{
	struct message m = {0};
	struct err lost = {0};

	undo(x, why); /* first: from now on `rollback` is what the peer hears, whoever tells it */
	if (talk_refuse(x->talk, MESSAGE_ROLLBACK, why, &lost) == 0 &&
		talk_expect(x->talk, MESSAGE_OK, &m, &lost) == 0)
		message_done(&m);
	if (lost.code)
		log_warn("set %s: the peer did not say that it went back: %s", x->state->set->name,
			lost.text);
	return refused(x, why, err);
}

/* The peer cannot be heard any more; what is decided stays so, unless it does not work here. */
static int go_on_alone(struct send *x, int r, struct err *err)
{
	struct err mine = {0};

	if (reload(x, &mine) < 0) {
		undo(x, mine.text);
		return refused(x, mine.text, err);
	}
	if (finish(x, &mine) < 0)
		log_error("set %s: %s", x->state->set->name, mine.text);
	return r;
}

static int end(struct send *x, struct err *err)
{
	struct message m = {.kind = MESSAGE_FINISH};
	struct err mine = {0};
	int r;

	if (finish(x, &mine) < 0)
		log_error("set %s: %s", x->state->set->name, mine.text);
	r = talk_send(x->talk, &m, err);
	if (r == 0)
		r = talk_expect(x->talk, MESSAGE_OK, &m, err);
	if (r < 0)
		return r;
	message_done(&m);
	transfer_note_success(x->state, x->next, true);
	return 0;
}

/* After our decision. */
static int carry_out(struct send *x, struct err *err)
{
	struct message m = {.kind = MESSAGE_COMMIT};
	char why[MESSAGE_TEXT_MAX + GENERATION_NAME_MAX];
	struct err mine = {0};
	int r = talk_send(x->talk, &m, err);

	if (r == 0)
		r = talk_expect(x->talk, MESSAGE_COMMITTED, &m, err);
	if (r < 0)
		return go_on_alone(x, r, err);
	snprintf(why, sizeof(why), "%s", m.text);
	message_done(&m);
	if (strcmp(why, "ok") != 0)
		return take_back(x, why, err);
	if (reload(x, &mine) < 0)
		return take_back(x, mine.text, err);
	return end(x, err);
}

/* -ESTALE and the like: somebody edited here meanwhile. */
static int decide(struct send *x, struct err *err)
{
	struct err lost = {0};
	int r = x->changes ? apply_commit(&x->apply, err) : 0;

	if (r == 0)
		return carry_out(x, err);
	undo(x, err->text);
	talk_refuse(x->talk, MESSAGE_ABORT, err->text, &lost);
	transfer_note_failure(x->state, x->talk, r, err, NULL);
	return r;
}

int transfer_send(struct talk *t, struct state *s, const struct manifest *live,
	const struct generation *next, const struct plan_side *peer, bool set_aside, bool active,
	const struct transfer_progress *p, bool *offered, struct err *err)
{
	struct send x = {.talk = t,
		.state = s,
		.live = live,
		.next = next,
		.peer = peer,
		.set_aside = set_aside,
		.active = active,
		.progress = p};
	int r = prepare(&x, err);

	if (offered)
		*offered = r == 0;
	if (r == 0)
		r = propose(&x, err);
	if (r == 0) {
		r = decide(&x, err);
	} else {
		undo(&x, err->text);
		transfer_note_failure(s, t, r, err, NULL);
	}
	apply_done(&x.apply);
	contents_done(&x.contents);
	free(x.need);
	return r;
}
