/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Filling snapshots; see snap_policy.h. Pure. The metadata counts as used, so a snapshot of 100 %
 * of its volume is not yet safe; `rules.full` is.
 */
#include "snap_policy.h"

#include "util.h"

void snap_watch_init(struct snap_watch *w, const struct snap_rules *rules)
{
	*w = (struct snap_watch){.rules = *rules};
}

unsigned snap_percent(uint64_t used, uint64_t total)
{
	if (total == 0 || used >= total)
		return 100;
	return (unsigned)(total > UINT64_MAX / 100 ? used / (total / 100) : used * 100 / total);
}

static const struct snap_moment *oldest(const struct snap_watch *w)
{
	return &w->ring[w->count > SNAP_MOMENTS ? w->count % SNAP_MOMENTS : 0];
}

/* Seconds until LEFT has gone, if GONE went in MS. */
static uint64_t seconds_for(uint64_t left, uint64_t gone, uint64_t ms)
{
	double s;

	if (left == 0)
		return 0;
	if (gone == 0 || ms == 0)
		return SNAP_NEVER;
	s = (double)left * (double)ms / (double)gone / 1000;
	return s < 1e15 ? (uint64_t)s : SNAP_NEVER;
}

static uint64_t grown(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

static void forecast(
	const struct snap_watch *w, const struct snap_moment *m, struct snap_forecast *ret)
{
	const struct snap_moment *old = oldest(w);
	uint64_t ms = m->ms - old->ms, copied = grown(m->fill.read, w->begin);

	ret->full_s = m->fill.total >= w->rules.full
		? SNAP_NEVER
		: seconds_for(grown(m->fill.total, m->fill.used),
			  grown(m->fill.used, old->fill.used), ms);
	ret->done_s = seconds_for(
		grown(w->rules.origin, copied), grown(m->fill.read, old->fill.read), ms);
}

static uint64_t next_size(const struct snap_rules *rules, uint64_t total)
{
	uint64_t more = total / 100 * rules->extend_by + total % 100 * rules->extend_by / 100;

	return more >= rules->full || total >= rules->full - more ? rules->full : total + more;
}

static bool should_grow(
	const struct snap_watch *w, const struct vg_fill *fill, const struct snap_forecast *f)
{
	if (w->rules.extend_at == 0 || fill->total >= w->rules.full)
		return false;
	return snap_percent(fill->used, fill->total) >= w->rules.extend_at ||
		f->full_s < SNAP_HURRY_S;
}

enum snap_verdict snap_watch_next(
	struct snap_watch *w, const struct snap_moment *m, struct snap_forecast *ret)
{
	*ret = (struct snap_forecast){SNAP_NEVER, SNAP_NEVER, 0};
	if (m->fill.is_bad)
		return SNAP_LOST;
	if (w->count == 0)
		w->begin = m->fill.read;
	w->ring[w->count++ % SNAP_MOMENTS] = *m;
	w->peak = MAX_OF(w->peak, m->fill.used);
	forecast(w, m, ret);
	if (!w->cannot_grow && should_grow(w, &m->fill, ret)) {
		ret->grow_to = next_size(&w->rules, m->fill.total);
		return SNAP_GROW;
	}
	if (ret->full_s != SNAP_NEVER && ret->full_s < ret->done_s &&
		(w->cannot_grow || w->rules.extend_at == 0))
		return SNAP_DOOMED;
	return SNAP_FINE;
}
