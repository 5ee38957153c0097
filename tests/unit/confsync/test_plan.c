/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan_make() in every situation of a small world: all generations, edits, roles, rules and wishes
 * of two nodes, and laws that must hold in each. A content is a number, 0 is no file at all, 1 are
 * folders without one.
 */
#include "plan.h"

#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { NO_FILES, FOLDERS, COMMON, MINE, THEIRS, EDIT_A, EDIT_B, CONTENTS };

static void set_hash(uint8_t hash[MANIFEST_HASH], unsigned content)
{
	memset(hash, 0, MANIFEST_HASH);
	hash[0] = (uint8_t)content;
}

static struct vector vector_of(uint64_t a, uint64_t b)
{
	struct vector v = {0};

	for (uint64_t i = 0; i < a; i++)
		assert_int_equal(vector_bump(&v, "a"), 0);
	for (uint64_t i = 0; i < b; i++)
		assert_int_equal(vector_bump(&v, "b"), 0);
	return v;
}

/* A node by its generation (0: none) and its files. */
static struct plan_side side_of(uint64_t a, uint64_t b, unsigned generation, unsigned live)
{
	struct plan_side s = {.number = a + b, .vector = vector_of(a, b), .empty = live <= FOLDERS};

	set_hash(s.digest, generation);
	set_hash(s.live, live);
	return s;
}

enum { SIDES_MAX = 64 };
struct sides {
	struct plan_side items[SIDES_MAX];
	size_t count;
};

static void add(struct sides *s, uint64_t a, uint64_t b, unsigned generation)
{
	for (unsigned live = 0; live < CONTENTS; live++) {
		assert_true(s->count < SIDES_MAX);
		s->items[s->count++] = side_of(a, b, generation, live);
	}
}

/* Node "a" may be one change ahead of (1, 1), "b" as well; or one's state was damaged. */
static void fill(struct sides *a, struct sides *b)
{
	*a = *b = (struct sides){0};
	add(a, 0, 0, 0);
	add(a, 1, 1, COMMON);
	add(a, 2, 1, MINE);
	add(a, 2, 1, NO_FILES);
	add(b, 0, 0, 0);
	add(b, 1, 1, COMMON);
	add(b, 1, 2, THEIRS);
	add(b, 1, 1, THEIRS);
}

struct situation {
	struct plan_side me, peer;
	enum plan_writer writer;
	enum plan_wish wish;
	bool peer_fenced, me_fenced;
};

static struct plan plan(const struct situation *s)
{
	return plan_make(&s->me, &s->peer, s->writer, s->wish, s->peer_fenced, s->me_fenced);
}

typedef void law_fn(const struct situation *s);

static void law_of_doubt(const struct situation *s);

/* In doubt all is the same, which is a law of its own. */
static void with_flags(const struct situation *base, law_fn *law)
{
	for (unsigned bits = 0; bits < 1U << (law == law_of_doubt ? 8 : 6); bits++) {
		struct situation s = *base;

		s.me.active = bits & 1;
		s.peer.active = bits & 2;
		s.me.unusable = bits & 4;
		s.peer.unusable = bits & 8;
		s.peer_fenced = bits & 16;
		s.me_fenced = bits & 32;
		s.me.in_doubt = bits & 64;
		s.peer.in_doubt = bits & 128;
		law(&s);
	}
}

static void everywhere(law_fn *law)
{
	struct sides a, b;

	fill(&a, &b);
	for (size_t i = 0; i < a.count * b.count; i++) {
		for (unsigned k = 0; k < 3 * 6; k++) {
			struct situation s = {.me = a.items[i / b.count],
				.peer = b.items[i % b.count],
				.writer = (enum plan_writer)(k / 6),
				.wish = (enum plan_wish)(k % 6)};

			with_flags(&s, law);
		}
	}
}

/* With what failed. */
static void require(const struct situation *s, bool condition, const char *what)
{
	struct plan p;

	if (condition)
		return;
	p = plan(s);
	fail_msg("%s: me %u: %u/%u, peer %u: %u/%u, active %d %d, unusable %d %d, writer %d, "
		 "wish %d, fenced %d %d: %s (%s)%s",
		what, (unsigned)s->me.number, s->me.digest[0], s->me.live[0],
		(unsigned)s->peer.number, s->peer.digest[0], s->peer.live[0], s->me.active,
		s->peer.active, s->me.unusable, s->peer.unusable, s->writer, s->wish,
		s->peer_fenced, s->me_fenced, plan_action_text(p.action), plan_why_text(p.why),
		p.set_aside ? ", set aside" : "");
}

static bool sends(struct plan p)
{
	return p.action == PLAN_SEND || p.action == PLAN_PUBLISH;
}

static bool fetches(struct plan p)
{
	return p.action == PLAN_FETCH || p.action == PLAN_FETCH_PUBLISH;
}

/* Both nodes come to the same. */

static const enum plan_action mirrored[] = {[PLAN_SETTLE] = PLAN_SETTLE,
	[PLAN_AGREE] = PLAN_AGREE,
	[PLAN_PUBLISH] = PLAN_FETCH_PUBLISH,
	[PLAN_SEND] = PLAN_FETCH,
	[PLAN_FETCH] = PLAN_SEND,
	[PLAN_FETCH_PUBLISH] = PLAN_PUBLISH,
	[PLAN_HOLD] = PLAN_HOLD,
	[PLAN_WAIT] = PLAN_WAIT};

static enum plan_why mirrored_why(enum plan_why w)
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

static void law_of_symmetry(const struct situation *s)
{
	static const enum plan_wish wishes[] = {[PLAN_AUTO] = PLAN_AUTO,
		[PLAN_PUSH_HERE] = PLAN_PULL,
		[PLAN_PULL] = PLAN_PUSH_HERE,
		[PLAN_KEEP_MINE] = PLAN_KEEP_THEIRS,
		[PLAN_KEEP_THEIRS] = PLAN_KEEP_MINE};
	struct situation other = {
		s->peer, s->me, s->writer, wishes[s->wish], s->me_fenced, s->peer_fenced};
	struct plan p = plan(s), q = plan(&other);
	bool both = s->me.unusable && s->peer.unusable; /* each says it of itself */

	if (s->wish == PLAN_PUSH)
		return;
	require(s, q.action == mirrored[p.action], "not mirrored");
	require(s, q.set_aside == p.set_aside, "set_aside not mirrored");
	require(s, q.why == mirrored_why(p.why) || (both && p.why == PLAN_BECAUSE_UNUSABLE),
		"reason not mirrored");
}

/* Nothing is lost. */

static bool is_edited(const struct plan_side *s)
{
	return s->number ? memcmp(s->digest, s->live, MANIFEST_HASH) != 0 : !s->empty;
}

/* All that R has is known to S, or there is nothing. */
static bool is_covered(const struct plan_side *r, const struct plan_side *s)
{
	enum vector_order o = vector_compare(&s->vector, &r->vector);

	if (is_edited(r))
		return false;
	if (!r->number)
		return true;
	return s->number &&
		(o == VECTOR_AHEAD ||
			(o == VECTOR_EQUAL && memcmp(r->digest, s->digest, MANIFEST_HASH) == 0));
}

static void law_of_loss(const struct situation *s)
{
	struct plan p = plan(s);
	const struct plan_side *from = sends(p) ? &s->me : &s->peer;
	const struct plan_side *to = sends(p) ? &s->peer : &s->me;

	if (!sends(p) && !fetches(p)) {
		require(s, !p.set_aside, "set aside without a transfer");
		return;
	}
	require(s, p.set_aside == !is_covered(to, from), "set_aside");
	if (p.set_aside)
		require(s,
			s->wish == (sends(p) ? PLAN_KEEP_MINE : PLAN_KEEP_THEIRS) ||
				(p.why == PLAN_BECAUSE_FENCED &&
					(sends(p) ? s->peer_fenced : s->me_fenced)),
			"a change loses without a reason");
	if (p.action == PLAN_SEND || p.action == PLAN_FETCH)
		require(s, from->number && !is_edited(from), "the sender's edits would be lost");
	require(s, !from->unusable, "unusable files are sent");
	require(s, memcmp(from->live, to->live, MANIFEST_HASH) != 0, "equal files are sent");
}

/* A shot counts for nothing if both were shot, or if the loser is the active node by now. */
static void law_of_shots(const struct situation *s)
{
	struct plan p = plan(s);

	if (p.why != PLAN_BECAUSE_FENCED)
		return;
	require(s, s->me_fenced != s->peer_fenced, "which one was fenced?");
	if (s->writer == PLAN_ACTIVE)
		require(s, !(s->me_fenced ? &s->me : &s->peer)->active, "active loser");
	require(s, s->me.number && s->peer.number, "before the first contact");
}

/* Who may write. */

static void law_of_writing(const struct situation *s)
{
	struct plan p = plan(s);
	const struct plan_side *from = sends(p) ? &s->me : &s->peer;
	bool asked = s->wish == PLAN_PUSH_HERE || s->wish == PLAN_PULL ||
		s->wish == PLAN_KEEP_MINE || s->wish == PLAN_KEEP_THEIRS;

	if (s->wish == PLAN_PUSH || s->wish == PLAN_PUSH_HERE || s->wish == PLAN_KEEP_MINE)
		require(s, !fetches(p), "fetches though asked to push");
	if (s->wish == PLAN_PULL || s->wish == PLAN_KEEP_THEIRS)
		require(s, !sends(p), "sends though asked to pull");
	if (asked || (!sends(p) && !fetches(p)))
		return;
	require(s, s->writer != PLAN_ACTIVE || !s->me.active || !s->peer.active, "two active");
	if (!is_edited(from) || !from->number)
		return;
	require(s, s->writer != PLAN_ACTIVE || from->active, "who is not active writes");
	require(s, s->writer != PLAN_MANUAL || s->wish == PLAN_PUSH, "nobody asked for it");
}

/* Files that were in a generation and are gone: nobody sends that unasked, and who asks is heard.
 */
static void law_of_emptying(const struct situation *s)
{
	struct plan p = plan(s);
	bool here = s->me.number && s->me.empty && is_edited(&s->me);
	bool there = s->peer.number && s->peer.empty && is_edited(&s->peer);

	if (p.why == PLAN_BECAUSE_EMPTIED)
		require(s,
			here && p.action == PLAN_WAIT &&
				(s->wish == PLAN_AUTO || s->wish == PLAN_PULL),
			"emptied");
	if (p.why == PLAN_BECAUSE_EMPTIED_THERE) /* who pushes to it has not asked for that */
		require(s,
			there && p.action == PLAN_WAIT &&
				(s->wish == PLAN_AUTO || s->wish == PLAN_PUSH ||
					s->wish == PLAN_PUSH_HERE),
			"emptied there");
	if (s->wish != PLAN_AUTO)
		return;
	require(s, !here || p.action != PLAN_PUBLISH, "empties the peer");
	require(s, !there || p.action != PLAN_FETCH_PUBLISH, "is emptied by the peer");
}

static void law_of_doubt(const struct situation *s)
{
	struct plan p = plan(s);
	bool in_doubt = s->me.in_doubt || s->peer.in_doubt;

	require(s, in_doubt == (p.action == PLAN_SETTLE), "in doubt");
	require(s, in_doubt == (p.why == PLAN_BECAUSE_IN_DOUBT), "reason of doubt");
}

/* What a wish that may not be refused leads to: the files of one are those of both. */
static void law_of_resolve(const struct situation *s)
{
	struct plan p = plan(s);
	const struct plan_side *from = s->wish == PLAN_KEEP_MINE ? &s->me : &s->peer;
	bool equal = memcmp(s->me.live, s->peer.live, MANIFEST_HASH) == 0;

	if ((s->wish != PLAN_KEEP_MINE && s->wish != PLAN_KEEP_THEIRS) || p.action == PLAN_SETTLE ||
		from->unusable || equal)
		return;
	require(s, s->wish == PLAN_KEEP_MINE ? sends(p) : fetches(p), "not resolved");
}

/* It comes to an end. */

static void join(struct plan_side *a, struct plan_side *b, const char *node)
{
	assert_int_equal(vector_join(&a->vector, &b->vector), 0);
	if (node)
		assert_int_equal(vector_bump(&a->vector, node), 0);
	b->vector = a->vector;
	a->number = b->number = MAX_OF(a->number, b->number) + 1;
	memcpy(a->digest, a->live, MANIFEST_HASH);
}

/* FROM's files become those of both; FROM is node NODE. */
static void transfer(struct plan_side *from, struct plan_side *to, const char *node, bool publish)
{
	if (publish)
		join(from, to, node);
	to->number = from->number;
	to->vector = from->vector;
	memcpy(to->digest, from->digest, MANIFEST_HASH);
	memcpy(to->live, from->digest, MANIFEST_HASH);
	memcpy(from->live, from->digest, MANIFEST_HASH);
	to->empty = from->empty = from->digest[0] <= FOLDERS;
}

static void law_of_end(const struct situation *s)
{
	struct situation after = *s;
	struct plan p = plan(s);

	if (p.action == PLAN_AGREE) {
		join(&after.me, &after.peer, NULL);
		memcpy(after.peer.digest, after.peer.live, MANIFEST_HASH);
	} else if (sends(p)) {
		transfer(&after.me, &after.peer, "a", p.action == PLAN_PUBLISH);
	} else if (fetches(p)) {
		transfer(&after.peer, &after.me, "b", p.action == PLAN_FETCH_PUBLISH);
	} else {
		return;
	}
	p = plan(&after);
	require(s, p.action == PLAN_NOTHING && p.why == PLAN_BECAUSE_IN_STEP, "does not end");
}

static void law_of_stillness(const struct situation *s)
{
	struct plan p = plan(s);
	bool equal = memcmp(s->me.live, s->peer.live, MANIFEST_HASH) == 0;

	if (p.action == PLAN_NOTHING)
		require(s, equal && !is_edited(&s->me) && !is_edited(&s->peer), "not in step");
	if (p.action == PLAN_AGREE)
		require(s, equal, "agrees on different files");
	if (p.action == PLAN_HOLD || p.action == PLAN_WAIT)
		require(s, p.why != PLAN_BECAUSE_IN_STEP, "waits for nothing");
}

#define LAW(name)                                                                                  \
	static void test_##name(void **state)                                                      \
	{                                                                                          \
		(void)state;                                                                       \
		everywhere(law_of_##name);                                                         \
	}
LAW(symmetry)
LAW(loss)
LAW(shots)
LAW(writing)
LAW(emptying)
LAW(doubt)
LAW(resolve)
LAW(end)
LAW(stillness)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_symmetry),
		cmocka_unit_test(test_loss),
		cmocka_unit_test(test_shots),
		cmocka_unit_test(test_writing),
		cmocka_unit_test(test_emptying),
		cmocka_unit_test(test_doubt),
		cmocka_unit_test(test_resolve),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_stillness),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
