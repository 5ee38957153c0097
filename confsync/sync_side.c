/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this node says of a set, and generations made of it. Looking takes no lock unless a
 * transaction has to be gone on with: who acts on it looks again under the lock.
 */
#include "sync_inner.h"

#include "hook.h"
#include "log.h"
#include "transfer_inner.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

bool sync_same(const uint8_t a[MANIFEST_HASH], const uint8_t b[MANIFEST_HASH])
{
	return memcmp(a, b, MANIFEST_HASH) == 0;
}

bool sync_same_side(const struct plan_side *a, const struct plan_side *b)
{
	return a->number == b->number && sync_same(a->digest, b->digest) &&
		sync_same(a->live, b->live) &&
		vector_compare(&a->vector, &b->vector) == VECTOR_EQUAL &&
		a->in_doubt == b->in_doubt && a->unusable == b->unusable;
}

bool sync_is_active(const struct config *c, const struct config_set *s)
{
	struct err err = {0};
	int r;

	if (s->writer != PLAN_ACTIVE && s->reload_on == CONFIG_BOTH)
		return false; /* nobody wants to know */
	r = hook_role(c, &err);
	if (r < 0)
		log_warn("%s: taken as not active", err.text);
	return r == 1;
}

int sync_side(struct state *s, bool full, struct plan_side *ret, struct scan *scan, struct err *err)
{
	struct plan_side side = {0};
	char transaction[GENERATION_ID_MAX];
	int r = sync_recover(s, &side.in_doubt, transaction, err);

	memset(scan, 0, sizeof(*scan));
	if (r == 0)
		r = scan_set(s->config, s->set, s->index, full ? SCAN_FULL : SCAN_QUICK, scan, err);
	if (r < 0)
		return r;
	side.number = s->now.number;
	side.vector = s->now.vector;
	memcpy(side.digest, s->now.digest, MANIFEST_HASH);
	memcpy(side.live, scan->digest, MANIFEST_HASH);
	side.empty = !manifest_has_files(&scan->files);
	side.unusable = scan->fault_count > 0;
	side.active = sync_is_active(s->config, s->set);
	*ret = side;
	return 0;
}

/* All but the files. */
static void fill(const struct state *s, const char *reason, struct generation *g)
{
	snprintf(g->set, sizeof(g->set), "%s", s->set->name);
	memcpy(g->parent, s->now.digest, MANIFEST_HASH);
	apply_new_id(g->transaction);
	snprintf(g->origin, sizeof(g->origin), "%s", s->config->self->name);
	g->time = time(NULL);
	snprintf(g->reason, sizeof(g->reason), "%s", reason);
}

int sync_next(const struct state *s, const struct manifest *files, const struct vector *peer_vector,
	uint64_t peer_number, const char *reason, struct generation *ret, struct err *err)
{
	int r;

	generation_init(ret);
	fill(s, reason, ret);
	ret->number = MAX_OF(s->now.number, peer_number) + 1;
	ret->vector = s->now.vector;
	r = vector_join(&ret->vector, peer_vector);
	if (r == 0)
		r = vector_bump(&ret->vector, s->config->self->name);
	if (r < 0)
		return err_set(err, -r,
			"set %s: its state is of other nodes than the configuration's",
			s->set->name);
	r = transfer_allows_counts(s->config, ret, err);
	if (r < 0)
		return r;
	r = manifest_copy(&ret->files, files);
	if (r == 0)
		r = manifest_digest(&ret->files, ret->digest);
	if (r < 0) {
		generation_done(ret);
		return err_sys(err, -r, "set %s", s->set->name);
	}
	return 0;
}

int sync_live(const struct state *s, const struct scan *scan, const char *reason,
	struct generation *ret, struct err *err)
{
	int r;

	generation_init(ret);
	fill(s, reason, ret);
	ret->number = s->now.number;
	ret->vector = s->now.vector;
	memcpy(ret->digest, scan->digest, MANIFEST_HASH);
	r = manifest_copy(&ret->files, &scan->files);
	return r < 0 ? err_sys(err, -r, "set %s", s->set->name) : 0;
}

int sync_set_aside(struct state *s, const struct scan *scan, const char *why, struct err *err)
{
	struct generation g;
	int r;

	if (sync_same(scan->digest, s->now.digest) || !manifest_has_files(&scan->files))
		return 0;
	r = transfer_store(s, &scan->files, &scan->files, err);
	if (r == 0)
		r = sync_live(s, scan, why, &g, err);
	if (r < 0)
		return r;
	r = state_set_aside(s, &g, why, err);
	generation_done(&g);
	return r;
}
