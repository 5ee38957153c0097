/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The decision about a set; see plan.h. What the sides say becomes one case of a table (how the
 * generations stand, and who has edited since); the writer rule, a wish, a shot and unusable files
 * then decide what may be done about the case. Each step treats both sides alike, or is computed
 * for one side and mirrored for the other, so that both nodes come to the same result.
 */
#include "plan.h"

#include "util.h"

#include <string.h>

/* How the generations stand. */
enum standing {
	EQUAL,
	AHEAD,
	BEHIND,
	APART,      /* also equal vectors of different generations: one state was damaged */
	PEER_BLANK, /* the peer has neither a generation nor files */
	ME_BLANK,
	STRANGERS, /* one has no generation, but files; or both have neither */
	STANDINGS,
};

/* What has to be done if it may. */
enum need {
	PUBLISH, /* I edited, and know all that the peer has */
	SEND,
	SEED, /* my files, which are in no generation, to a peer without any */
	FETCH_PUBLISH,
	FETCH,
	FETCH_SEED,
	BOTH,
	FIRST,
};

/* [standing][I edited][the peer edited]; the files differ. Without a generation all files are
 * edits. Neither edited and EQUAL: then the files would be equal. */
static const enum need needs[STANDINGS][2][2] = {
	[EQUAL] = {{BOTH, FETCH_PUBLISH}, {PUBLISH, BOTH}},
	[AHEAD] = {{SEND, BOTH}, {PUBLISH, BOTH}},
	[BEHIND] = {{FETCH, FETCH_PUBLISH}, {BOTH, BOTH}},
	[APART] = {{BOTH, BOTH}, {BOTH, BOTH}},
	[PEER_BLANK] = {{SEND, FIRST}, {SEED, FIRST}},
	[ME_BLANK] = {{FETCH, FETCH_SEED}, {FIRST, FIRST}},
	[STRANGERS] = {{FIRST, FIRST}, {FIRST, FIRST}},
};

struct pair {
	const struct plan_side *me, *peer;
	enum plan_writer writer;
	enum plan_wish wish;
	bool peer_fenced, me_fenced;
	enum standing standing;
	bool me_edited, peer_edited;
};

static bool same(const uint8_t a[MANIFEST_HASH], const uint8_t b[MANIFEST_HASH])
{
	return memcmp(a, b, MANIFEST_HASH) == 0;
}

static bool is_edited(const struct plan_side *s)
{
	return s->number ? !same(s->digest, s->live) : !s->empty;
}

static bool is_blank(const struct plan_side *s)
{
	return !s->number && s->empty;
}

static enum standing standing_of(const struct plan_side *me, const struct plan_side *peer)
{
	static const enum standing of[] = {[VECTOR_EQUAL] = EQUAL,
		[VECTOR_AHEAD] = AHEAD,
		[VECTOR_BEHIND] = BEHIND,
		[VECTOR_APART] = APART};
	enum standing s = of[vector_compare(&me->vector, &peer->vector)];

	if (me->number && peer->number)
		return s == EQUAL && !same(me->digest, peer->digest) ? APART : s;
	if (is_blank(me) == is_blank(peer)) /* both: folders that differ, nothing in them */
		return STRANGERS;
	return is_blank(peer) ? PEER_BLANK : ME_BLANK;
}

static struct pair pair_of(const struct plan_side *me, const struct plan_side *peer)
{
	return (struct pair){.me = me,
		.peer = peer,
		.standing = standing_of(me, peer),
		.me_edited = is_edited(me),
		.peer_edited = is_edited(peer)};
}

/* The same from the peer's place. */
static struct pair exchange(const struct pair *p, enum plan_wish wish)
{
	struct pair x = pair_of(p->peer, p->me);

	x.writer = p->writer;
	x.wish = wish;
	x.peer_fenced = p->me_fenced;
	x.me_fenced = p->peer_fenced;
	return x;
}

static enum plan_why mirror_why(enum plan_why w)
{
	static const enum plan_why pairs[][2] = {{PLAN_BECAUSE_AHEAD, PLAN_BECAUSE_BEHIND},
		{PLAN_BECAUSE_DRIFT_HERE, PLAN_BECAUSE_DRIFT_THERE},
		{PLAN_BECAUSE_UNUSABLE, PLAN_BECAUSE_UNUSABLE_THERE},
		{PLAN_BECAUSE_EMPTIED, PLAN_BECAUSE_EMPTIED_THERE}};

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		if (w == pairs[i][0] || w == pairs[i][1])
			return pairs[i][w == pairs[i][0]];
	}
	return w;
}

static struct plan mirror(struct plan p)
{
	static const enum plan_action actions[] = {[PLAN_NOTHING] = PLAN_NOTHING,
		[PLAN_SETTLE] = PLAN_SETTLE,
		[PLAN_AGREE] = PLAN_AGREE,
		[PLAN_PUBLISH] = PLAN_FETCH_PUBLISH,
		[PLAN_SEND] = PLAN_FETCH,
		[PLAN_FETCH] = PLAN_SEND,
		[PLAN_FETCH_PUBLISH] = PLAN_PUBLISH,
		[PLAN_HOLD] = PLAN_HOLD,
		[PLAN_WAIT] = PLAN_WAIT};

	p.action = actions[p.action];
	p.why = mirror_why(p.why);
	return p;
}

static struct plan make(enum plan_action action, enum plan_why why)
{
	return (struct plan){.action = action, .why = why};
}

/* Whatever is sent becomes the other node's, so files that are not good stay where they are. */
static struct plan if_usable(const struct pair *p, struct plan plan)
{
	bool from_me = plan.action == PLAN_PUBLISH || plan.action == PLAN_SEND;
	bool from_peer = plan.action == PLAN_FETCH_PUBLISH || plan.action == PLAN_FETCH;
	bool agree = plan.action == PLAN_AGREE;

	if (p->me->unusable && (from_me || agree))
		return make(PLAN_WAIT, PLAN_BECAUSE_UNUSABLE);
	if (p->peer->unusable && (from_peer || agree))
		return make(PLAN_WAIT, PLAN_BECAUSE_UNUSABLE_THERE);
	return plan;
}

/* Without a change on one side there is nothing to lose. */
static bool peer_has_changes(const struct pair *p)
{
	return p->peer_edited || p->standing == BEHIND || p->standing == APART ||
		p->standing == ME_BLANK || (p->standing == STRANGERS && p->peer->number);
}

/* All of mine, whatever the peer has. */
static struct plan mine_wins(const struct pair *p, enum plan_why why)
{
	bool known = !p->me_edited && (p->standing == AHEAD || p->standing == PEER_BLANK);
	struct plan plan = make(known ? PLAN_SEND : PLAN_PUBLISH, why);

	plan.set_aside = peer_has_changes(p);
	return plan;
}

/* The writer rule. */

static bool is_active_rule(const struct pair *p)
{
	return p->writer == PLAN_ACTIVE;
}

/* May SIDE publish what was edited there, with nobody asking for it? */
static bool may_write(const struct pair *p, const struct plan_side *side)
{
	return p->writer == PLAN_ANY || (is_active_rule(p) && side->active);
}

static bool i_may_write(const struct pair *p)
{
	return p->wish == PLAN_PUSH_HERE || (p->wish == PLAN_PUSH && !is_active_rule(p)) ||
		may_write(p, p->me);
}

static bool are_both_active(const struct pair *p)
{
	return is_active_rule(p) && p->me->active && p->peer->active && p->wish != PLAN_PUSH_HERE;
}

/* The peer was shot after we last spoke, so what it changed before is not what the survivor went on
 * with. Not if it is the active node by now: then its changes may be newer than the shot. And not
 * if I have edits that I may not publish, which would be sent with the rest. */
static bool peer_loses(const struct pair *p)
{
	return p->peer_fenced && !p->me_fenced && p->me->number && p->peer->number &&
		!(is_active_rule(p) && p->peer->active) && peer_has_changes(p) &&
		(!p->me_edited || i_may_write(p));
}

/* Nobody asked for it, and somebody may have forgotten to mount a folder. */
static bool is_emptied_unasked(const struct pair *p)
{
	return p->wish == PLAN_AUTO && plan_is_emptied(p->me);
}

static struct plan publish(const struct pair *p)
{
	bool refused = !i_may_write(p);

	/* Where `push` would not do, the writer rule is what people have to know. */
	if (is_emptied_unasked(p) && (!refused || !is_active_rule(p)))
		return make(PLAN_WAIT, PLAN_BECAUSE_EMPTIED);
	if (refused)
		return make(PLAN_WAIT,
			is_active_rule(p) ? PLAN_BECAUSE_DRIFT_HERE : PLAN_BECAUSE_MANUAL);
	return make(PLAN_PUBLISH, p->wish == PLAN_AUTO ? PLAN_BECAUSE_AHEAD : PLAN_BECAUSE_WISH);
}

/* A peer without files has nothing that could be lost, so nobody needs to ask for the first copy;
 * but edits after a generation wait as ever. */
static struct plan seed(const struct pair *p)
{
	return p->me->number ? publish(p) : make(PLAN_PUBLISH, PLAN_BECAUSE_FIRST);
}

static struct plan survive(const struct pair *p)
{
	if (p->me_edited && is_emptied_unasked(p))
		return make(PLAN_WAIT, PLAN_BECAUSE_EMPTIED);
	return mine_wins(p, PLAN_BECAUSE_FENCED);
}

static struct plan send(void)
{
	return make(PLAN_SEND, PLAN_BECAUSE_AHEAD);
}

/* What the peer would do, with nobody asking for it there, is what is to be fetched. */
static struct plan by_table(const struct pair *p)
{
	struct pair x = exchange(p, PLAN_AUTO);

	if (peer_loses(p))
		return survive(p);
	if (peer_loses(&x))
		return mirror(survive(&x));
	switch (needs[p->standing][p->me_edited][p->peer_edited]) {
	case PUBLISH:
		return publish(p);
	case SEND:
		return send();
	case SEED:
		return seed(p);
	case FETCH_PUBLISH:
		return mirror(publish(&x));
	case FETCH:
		return mirror(send());
	case FETCH_SEED:
		return mirror(seed(&x));
	case FIRST:
		return make(PLAN_HOLD, PLAN_BECAUSE_FIRST);
	case BOTH:
		break;
	}
	return make(PLAN_HOLD, PLAN_BECAUSE_BOTH);
}

/* Of two active nodes neither is the writer. Who pushes gets nothing. */
static struct plan within_rule(const struct pair *p, struct plan plan)
{
	bool from_peer = plan.action == PLAN_FETCH || plan.action == PLAN_FETCH_PUBLISH;
	bool from_me = plan.action == PLAN_SEND || plan.action == PLAN_PUBLISH;

	if (p->wish != PLAN_AUTO && from_peer)
		return make(PLAN_WAIT,
			plan.why == PLAN_BECAUSE_FENCED ? plan.why : PLAN_BECAUSE_BEHIND);
	if (are_both_active(p) && (from_me || from_peer))
		return make(PLAN_WAIT, PLAN_BECAUSE_TWO_ACTIVE);
	return plan;
}

/* Files that are equal need no transfer, and nobody's leave. */
static struct plan agree(const struct pair *p)
{
	if (p->standing == EQUAL && !p->me_edited && !p->peer_edited)
		return make(PLAN_NOTHING, PLAN_BECAUSE_IN_STEP);
	return make(PLAN_AGREE, PLAN_BECAUSE_IN_STEP);
}

static struct plan decide(const struct pair *p)
{
	struct pair x = *p;

	switch (p->wish) {
	case PLAN_PULL:
		x = exchange(p, PLAN_PUSH_HERE);
		return mirror(decide(&x));
	case PLAN_KEEP_THEIRS:
		x = exchange(p, PLAN_KEEP_MINE);
		return mirror(decide(&x));
	case PLAN_KEEP_MINE:
		return if_usable(p, mine_wins(p, PLAN_BECAUSE_WISH));
	default:
		return if_usable(p, within_rule(p, by_table(p)));
	}
}

struct plan plan_make(const struct plan_side *me, const struct plan_side *peer,
	enum plan_writer writer, enum plan_wish wish, bool peer_fenced, bool me_fenced)
{
	struct pair p = pair_of(me, peer);

	p.writer = writer;
	p.wish = wish;
	p.peer_fenced = peer_fenced;
	p.me_fenced = me_fenced;
	if (me->in_doubt || peer->in_doubt)
		return make(PLAN_SETTLE, PLAN_BECAUSE_IN_DOUBT);
	if (same(me->live, peer->live))
		return if_usable(&p, agree(&p));
	return decide(&p);
}
