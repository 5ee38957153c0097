/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The facts about a set, from this node's disk; see standing.h. No lock is held, so that looking
 * never makes a transaction wait; what is replaced meanwhile is read as it was or as it is. Damage
 * is told, never taken for "there is nothing".
 */
#include "apply.h"
#include "fenced.h"
#include "hook.h"
#include "scan.h"
#include "standing.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { LOOKS = 5 };

/* Is a transaction without an end one that somebody is at? */
static bool is_busy(struct state *s)
{
	struct state other;
	bool busy;

	if (state_open(&other, s->config, s->set, NULL) < 0)
		return false;
	busy = state_lock(&other, 0, NULL) == -EBUSY;
	state_close(&other);
	return busy;
}

/* The role matters only to an edit where the active node is the writer. */
static bool is_active(const struct config *c, const struct standing_facts *f, int *role)
{
	bool edited = memcmp(f->me.digest, f->me.live, MANIFEST_HASH) != 0;

	if (f->writer != PLAN_ACTIVE || !edited)
		return false;
	if (*role == STANDING_ROLE_UNKNOWN)
		*role = hook_role(c, NULL);
	return *role == 1;
}

static void take_scan(struct standing_facts *f, const struct scan *scan)
{
	memcpy(f->me.live, scan->digest, MANIFEST_HASH);
	f->me.empty = !manifest_has_files(&scan->files);
	f->me.unusable = scan->fault_count > 0;
	f->fault_count = scan->fault_count;
	if (scan->fault_count)
		f->fault = scan->faults[0] ? scan->faults[0] : "there are files with faults";
}

static void take_generation(struct standing_facts *f, const struct generation *g)
{
	f->me.number = g->number;
	f->me.vector = g->vector;
	memcpy(f->me.digest, g->digest, MANIFEST_HASH);
}

static void take_peer(struct standing_facts *f, const struct state *s, struct err *err)
{
	int r = state_peer_read(s, &f->peer);

	f->has_peer = r == 0;
	if (r < 0 && r != -ENOENT && !f->failure) {
		err_sys(err, -r, "%s/peer", s->folder);
		f->failure = err->text;
	}
}

static void judge_open(
	struct state *s, bool full, int *role, struct standing_facts *f, struct standing *ret)
{
	char transaction[GENERATION_ID_MAX];
	struct err err = {0};
	struct scan scan;
	int r = scan_set(s->config, s->set, s->index, full ? SCAN_FULL : SCAN_QUICK, &scan, &err);

	take_generation(f, &s->now);
	if (r < 0)
		f->failure = err.text;
	else
		take_scan(f, &scan);
	take_peer(f, s, &err);
	f->me.active = is_active(s->config, f, role);
	f->frozen = state_is_frozen(s);
	f->has_trouble = state_trouble_read(s, &f->trouble);
	f->phase = apply_peek(s, transaction);
	f->busy = f->phase != APPLY_NONE && is_busy(s);
	f->peer_fenced = f->has_peer && fenced_since_seen(s->config);
	ret->number = s->now.number;
	memcpy(ret->digest, s->now.digest, MANIFEST_HASH);
	ret->has_peer = f->has_peer;
	ret->peer = f->peer;
	standing_judge(f, ret);
	if (r == 0)
		scan_done(&scan);
}

static void find_once(const struct config *c, const struct config_set *set, bool full, int *role,
	const struct plan *asked, struct standing *ret)
{
	struct standing_facts *f = calloc(1, sizeof(*f));
	struct err err = {0};
	struct state s;

	*ret = (struct standing){.set = set, .kind = STANDING_UNKNOWN};
	if (!f) {
		snprintf(ret->text, sizeof(ret->text), "no memory");
		return;
	}
	f->peer_name = c->peer->name;
	f->writer = (enum plan_writer)set->writer;
	f->asked = asked;
	f->local = set->kind == CONFIG_LOCAL;
	if (!f->local && state_open(&s, c, set, &err) == 0) {
		judge_open(&s, full, role, f, ret);
		state_close(&s);
	} else {
		f->failure = err.text;
		standing_judge(f, ret);
	}
	free(f);
}

/* Did a generation come into force while we looked? Then its files were taken for edits. */
static bool was_overtaken(const struct config *c, const struct standing *r)
{
	struct state s;
	bool changed;

	if (r->kind == STANDING_IN_STEP || r->kind == STANDING_LOCAL ||
		r->kind == STANDING_UNKNOWN || state_open(&s, c, r->set, NULL) < 0)
		return false;
	changed = s.now.number != r->number || memcmp(s.now.digest, r->digest, MANIFEST_HASH) != 0;
	state_close(&s);
	return changed;
}

void standing_find(const struct config *c, const struct config_set *set, bool full, int *role,
	const struct plan *asked, struct standing *ret)
{
	for (int i = 0; i < LOOKS; i++) {
		find_once(c, set, full && i == 0, role, asked, ret);
		if (!was_overtaken(c, ret))
			return;
	}
}

/* Has the peer, by its last words, something that is not in what is here? */
static const char *newer(const struct state *s, const struct state_peer *p)
{
	enum vector_order order = vector_compare(&s->now.vector, &p->side.vector);
	bool edited = memcmp(p->side.live, p->side.digest, MANIFEST_HASH) != 0;

	if (memcmp(p->side.live, s->now.digest, MANIFEST_HASH) == 0)
		return NULL;
	if (order == VECTOR_BEHIND)
		return "had a newer generation when it was last seen";
	if (order == VECTOR_APART)
		return "had changes that are not here when it was last seen";
	return edited ? "had edited files when it was last seen" : NULL;
}

static bool look(const struct config *c, struct state *s, char *why, size_t room)
{
	char transaction[GENERATION_ID_MAX];
	struct state_peer p = {0};
	int r = state_peer_read(s, &p);
	const char *what = NULL;

	if (r < 0 && r != -ENOENT) {
		snprintf(why, room, "%s/peer: %s", s->folder, strerror(-r));
		return false;
	}
	if (apply_peek(s, transaction) == APPLY_PREPARED)
		what = "may have what a transaction without an end was to bring here";
	else if (r == 0)
		what = newer(s, &p);
	if (!what || fenced_since_seen(c))
		return true;
	snprintf(why, room, "%s %s, and was not powered off since", c->peer->name, what);
	return false;
}

bool standing_may_take_over(
	const struct config *c, const struct config_set *set, char *why, size_t room)
{
	struct err err = {0};
	struct state s;
	bool may;

	if (state_open(&s, c, set, &err) < 0) {
		snprintf(why, room, "%s", err.text);
		return false;
	}
	may = look(c, &s, why, room);
	state_close(&s);
	return may;
}
