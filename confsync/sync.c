/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A conversation about sets, from the side that called. Each set: look, ask, plan, and if something
 * is to be done, look again under the lock. A lock that is held, here or there, is waited for a
 * little; then ours is let go, so that two nodes that call each other at the same time do not wait
 * for each other, and it is tried again after a while that differs on the two.
 */
#include "sync_inner.h"

#include "clock.h"
#include "fenced.h"
#include "log.h"
#include "sync_act.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { ATTEMPTS = 6, SETTLE_ROUNDS = 3 };

static uint64_t boottime(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Who is first in the alphabet waits less, so that one of both gets through. */
static void wait_a_while(const struct config *c, unsigned attempt)
{
	bool first = strcmp(c->self->name, c->peer->name) < 0;
	unsigned random = 0;
	uint64_t ms;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		random = (unsigned)clock_ns();
	ms = first ? 20 + random % 80 : 200 + random % 400;
	usleep((useconds_t)(ms * 1000 * attempt));
}

/* Asks the peer and notes what it says. */
static int ask_state(struct sync_act *x, struct err *err)
{
	struct message m = {.kind = MESSAGE_STATE_ASK};
	struct state_peer p = {0};
	int r;

	snprintf(m.set, sizeof(m.set), "%s", x->state.set->name);
	r = talk_send(x->talk, &m, err);
	if (r == 0)
		r = talk_expect(x->talk, MESSAGE_STATE, &x->answer, err);
	if (r < 0)
		return r;
	x->peer = x->answer.side;
	p.side = x->answer.side;
	memcpy(p.definition, x->answer.definition, sizeof(p.definition));
	p.time = time(NULL);
	p.boottime = boottime();
	p.reached = true;
	message_done(&x->answer);
	r = state_peer_write(&x->state, &p);
	return r < 0 ? err_sys(err, -r, "set %s: what the peer said cannot be noted", m.set) : 0;
}

static void note_unreached(struct sync_act *x, const struct err *why)
{
	struct state_peer p;

	if (state_peer_read(&x->state, &p) < 0)
		memset(&p, 0, sizeof(p));
	p.reached = false;
	snprintf(p.text, sizeof(p.text), "%.255s", why ? why->text : "");
	if (state_peer_write(&x->state, &p) < 0)
		log_warn(
			"set %s: that the peer is not reached cannot be noted", x->state.set->name);
}

static int look(struct sync_act *x, bool full, struct err *err)
{
	scan_done(&x->scan);
	memset(&x->scan, 0, sizeof(x->scan));
	return sync_side(&x->state, full, &x->me, &x->scan, err);
}

/* Both sides as they are, no transaction in doubt if that can be had. */
static int look_at_both(struct sync_act *x, bool full, struct err *err)
{
	for (int i = 0; i < SETTLE_ROUNDS; i++) {
		int r = look(x, full && i == 0, err);

		if (r == 0)
			r = ask_state(x, err);
		if (r < 0 || x->order->dry_run || (!x->me.in_doubt && !x->peer.in_doubt))
			return r;
		if (x->me.in_doubt)
			r = sync_ask_outcome(x->talk, &x->state, err);
		if (r == 0 && x->peer.in_doubt)
			r = sync_tell_outcome(x->talk, &x->state, x->answer.transaction, err);
		if (r < 0 && r != -EAGAIN)
			return r;
	}
	return 0;
}

static bool differs(const struct sync_act *x)
{
	uint8_t hash[MANIFEST_HASH];
	char mine[MANIFEST_HEX];

	if (config_definition(x->state.set, hash) < 0)
		return false;
	hash_to_hex(hash, mine);
	return strcmp(mine, x->answer.definition) != 0;
}

static struct plan plan_of(const struct sync_act *x)
{
	return plan_make(&x->me, &x->peer, (enum plan_writer)x->state.set->writer, x->order->wish,
		x->fenced, x->answer.fenced);
}

static int with_peer(struct sync_act *x, bool first, struct err *err)
{
	int r = look_at_both(x, x->order->full && first, err);

	x->result->reached = r == 0 || !talk_dead(x->talk);
	if (r < 0)
		return r;
	x->plan = plan_of(x);
	x->result->differs = differs(x);
	x->result->me = x->me;
	x->result->peer = x->peer;
	x->result->plan = x->plan;
	return x->order->dry_run ? 0 : sync_act(x, err);
}

static int without_peer(struct sync_act *x, const struct err *why, bool first, struct err *err)
{
	int r;

	note_unreached(x, why);
	r = look(x, x->order->full && first, err);
	if (r == 0 && x->me.in_doubt && x->fenced && !x->order->dry_run) {
		r = sync_settle_alone(&x->state, err);
		if (r == 0)
			r = look(x, false, err);
	}
	if (r < 0)
		return r;
	x->plan = plan_alone(&x->me, (enum plan_writer)x->state.set->writer, x->order->wish);
	x->result->me = x->me;
	x->result->plan = x->plan;
	return x->order->dry_run ? 0 : sync_act(x, err);
}

static int attempt(struct sync_act *x, const struct config *c, const struct config_set *s,
	const struct err *why, bool first, struct err *err)
{
	int r = state_open(&x->state, c, s, err);

	if (r < 0)
		return r;
	memset(&x->scan, 0, sizeof(x->scan));
	r = x->talk ? with_peer(x, first, err) : without_peer(x, why, first, err);
	x->result->number = x->state.now.number;
	memcpy(x->result->digest, x->state.now.digest, MANIFEST_HASH);
	scan_done(&x->scan);
	state_close(&x->state);
	return r;
}

static void sync_set(const struct config *c, struct talk *t, const struct err *why,
	const struct config_set *s, const struct sync_order *o, bool fenced,
	struct sync_result *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (unsigned i = 0; i < ATTEMPTS; i++) {
		struct sync_act x = {.talk = t, .order = o, .result = ret, .fenced = fenced};

		if (i > 0)
			wait_a_while(c, i);
		ret->err = (struct err){0};
		ret->code = attempt(&x, c, s, why, i == 0, &ret->err);
		if (ret->code == 0 && ret->plan.action != PLAN_WAIT)
			ret->err = (struct err){0}; /* of what was tried on the way */
		if (ret->code != -EBUSY && ret->code != -EAGAIN)
			return;
		if (t && talk_dead(t))
			return;
	}
}

static bool is_dealt_with(const struct sync_result *r)
{
	return r->code == 0 && r->plan.action != PLAN_WAIT && r->plan.action != PLAN_SETTLE;
}

static bool is_whole(const struct config *c, size_t count)
{
	size_t all = 0;

	for (size_t i = 0; i < c->set_count; i++)
		all += c->sets[i].kind != CONFIG_LOCAL;
	return count >= all;
}

void sync_sets(const struct config *c, struct talk *t, const struct err *why,
	const struct config_set *const *sets, size_t count, const struct sync_order *o,
	struct sync_result *ret)
{
	bool fenced = fenced_since_seen(c), good = t != NULL;
	struct err err = {0};

	for (size_t i = 0; i < count; i++) {
		if (t && talk_dead(t)) { /* of a set before this one */
			memset(&ret[i], 0, sizeof(ret[i]));
			ret[i].code = err_set(&ret[i].err, ECONNRESET, "%s",
				i && ret[i - 1].code ? ret[i - 1].err.text
						     : "the conversation is over");
			good = false;
			continue;
		}
		sync_set(c, t, why, sets[i], o, fenced, &ret[i]);
		good = good && ret[i].reached && is_dealt_with(&ret[i]);
	}
	if (good && !o->dry_run && is_whole(c, count) && fenced_seen(c, &err) < 0)
		log_warn("%s", err.text);
}
