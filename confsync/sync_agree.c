/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What needs no transaction: nodes with the same files agree on a generation (a crash in between
 * leaves two that differ in their vectors only, and they agree again); and the peer's version of a
 * set is looked at, for people and to be held.
 */
#include "sync_inner.h"

#include "log.h"
#include "transfer_inner.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static bool is_empty(const struct vector *v)
{
	return v->at[0].count == 0 && v->at[1].count == 0;
}

/* What both will have: no more changes than there were, unless the files are of neither's
 * generation. */
static int count(const struct state *s, const struct plan_side *me, const struct plan_side *peer,
	uint64_t *number, struct vector *vector)
{
	bool known = (me->number && sync_same(me->live, me->digest)) ||
		(peer->number && sync_same(peer->live, peer->digest));
	int r;

	*number = MAX_OF(me->number, peer->number) + !known;
	*vector = me->vector;
	r = vector_join(vector, &peer->vector);
	if (r == 0 && (!known || is_empty(vector)))
		r = vector_bump(vector, s->config->self->name);
	return r;
}

/* The live files become the generation in force. */
static int adopt(struct state *s, const struct scan *scan, uint64_t number,
	const struct vector *vector, struct err *err)
{
	static const struct vector none;
	struct generation g;
	int r = transfer_store(s, &scan->files, &scan->files, err);

	if (r == 0)
		r = apply_sync_live(&s->now.files, &scan->files, err);
	if (r == 0)
		r = sync_next(s, &scan->files, &none, 0, "both nodes had the same", &g, err);
	if (r < 0)
		return r;
	g.number = number;
	g.vector = *vector;
	r = state_set_generation(s, &g, err);
	if (r == 0)
		transfer_note_success(s, &g, true);
	generation_done(&g);
	return r;
}

int sync_agree(struct talk *t, struct state *s, const struct scan *scan, const struct plan_side *me,
	const struct plan_side *peer, struct err *err)
{
	struct message m = {.kind = MESSAGE_AGREE}, ok = {0};
	int r = count(s, me, peer, &m.number, &m.vector);
	struct generation probe = {.number = m.number, .vector = m.vector};

	if (r < 0)
		return err_set(err, -r,
			"set %s: a state is of other nodes than the configuration's", s->set->name);
	snprintf(m.set, sizeof(m.set), "%s", s->set->name);
	snprintf(probe.set, sizeof(probe.set), "%s", s->set->name);
	r = transfer_allows_counts(s->config, &probe, err);
	if (r < 0)
		return r;
	memcpy(m.hash, scan->digest, MANIFEST_HASH);
	r = talk_send(t, &m, err);
	if (r == 0)
		r = talk_expect(t, MESSAGE_OK, &ok, err);
	if (r == 0)
		message_done(&ok);
	return r < 0 ? r : adopt(s, scan, m.number, &m.vector, err);
}

static int check_agreement(
	const struct state *s, const struct message *m, const struct plan_side *me, struct err *err)
{
	enum vector_order order = vector_compare(&m->vector, &me->vector);
	struct generation probe = {.number = m->number, .vector = m->vector};

	if (me->unusable || me->in_doubt || !sync_same(m->hash, me->live))
		return err_set(err, ESTALE, "the files here are others by now");
	if (state_is_frozen(s))
		return err_set(err, EPERM, "set %s is on hold here", s->set->name);
	if ((order != VECTOR_AHEAD && order != VECTOR_EQUAL) || m->number < me->number)
		return err_set(err, EPERM, "that generation does not follow the one in force here");
	return transfer_allows(s->config, s->set, &probe, err);
}

int sync_agreed(struct state *s, const struct message *m, struct err *err)
{
	struct plan_side me;
	struct scan scan;
	int r = sync_side(s, false, &me, &scan, err);

	if (r < 0)
		return r;
	r = check_agreement(s, m, &me, err);
	if (r == 0)
		r = adopt(s, &scan, m->number, &m->vector, err);
	scan_done(&scan);
	return r;
}

int sync_show(struct talk *t, const char *set, struct generation *ret, struct err *err)
{
	struct message m = {.kind = MESSAGE_SHOW};
	int r;

	generation_init(ret);
	snprintf(m.set, sizeof(m.set), "%s", set);
	r = talk_send(t, &m, err);
	if (r == 0) { /* a refusal is a message, not a generation */
		r = talk_expect(t, MESSAGE_OK, &m, err);
		if (r == 0)
			message_done(&m);
	}
	return r < 0 ? r : talk_receive_generation(t, ret, err);
}

int sync_get(struct talk *t, const char *set, const uint8_t hash[MANIFEST_HASH], const char *store,
	struct err *err)
{
	struct message m = {.kind = MESSAGE_GET}, data = {0};
	struct store_batch b;
	int r;

	store_batch_init(&b, store);
	snprintf(m.set, sizeof(m.set), "%s", set);
	memcpy(m.hash, hash, MANIFEST_HASH);
	r = talk_send(t, &m, err);
	if (r == 0)
		r = talk_expect(t, MESSAGE_DATA, &data, err);
	if (r < 0)
		return r;
	if (sync_same(data.hash, hash)) {
		r = talk_receive_data(t, &data, &b, err);
		if (r == 0)
			r = store_batch_name(&b, err);
	} else {
		talk_kill(t);
		r = err_set(err, EPROTO, "the peer sent another content than was asked for");
	}
	message_done(&data);
	return r;
}

/* The peer's version, unless we have it. */
static int fetch_held(
	struct talk *t, struct state *s, const struct plan_side *peer, struct err *err)
{
	struct generation g;
	struct err none = {0};
	bool have;
	int r;

	generation_init(&g);
	have = state_held_read(s, &g, &none) == 0 && sync_same(g.digest, peer->live);
	generation_done(&g);
	if (have)
		return 0;
	r = sync_show(t, s->set->name, &g, err);
	if (r == 0)
		r = state_held_write(s, &g, err);
	generation_done(&g);
	return r;
}

int sync_hold(struct talk *t, struct state *s, const struct plan *plan,
	const struct plan_side *peer, struct err *err)
{
	struct state_trouble old, now = {.why = plan->why, .held = true};
	bool there = state_trouble_read(s, &old);
	int r = fetch_held(t, s, peer, err);

	if (r < 0)
		return r;
	if (there && old.held && old.why == plan->why)
		return 0;
	now.since = time(NULL);
	snprintf(
		now.text, sizeof(now.text), "%s: see diff, then resolve", plan_why_text(plan->why));
	log_info("set %s is held: %s", s->set->name, now.text);
	r = state_trouble_write(s, &now);
	return r < 0 ? err_sys(err, -r, "set %s", s->set->name) : 0;
}
