/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When the daemon does what; called by daemon.c. A set is in one of three situations, which have
 * precedence in this order: files changed and have not settled (nothing is read meanwhile, it would
 * be half of an edit), an attempt failed (retry_at), else it takes part in the common look. A time
 * that has passed without a job beginning is never a time to wake up at, so nobody can be kept
 * busy.
 */
#include "schedule.h"

#include "util.h"

static uint64_t bit(size_t set)
{
	return 1ULL << set;
}

void schedule_init(
	struct schedule *s, const struct schedule_rules *rules, uint64_t used, uint64_t now)
{
	*s = (struct schedule){.rules = *rules, .count = CONFIG_SETS_MAX, .look_at = now};
	for (size_t i = 0; i < s->count; i++) {
		s->sets[i].used = used & bit(i);
		s->sets[i].full_at = now + rules->scan_interval;
	}
}

/* Events. */

void schedule_changed(struct schedule *s, uint64_t sets, uint64_t now)
{
	for (size_t i = 0; i < s->count; i++) {
		struct schedule_set *x = &s->sets[i];

		if (!x->used || !(sets & bit(i)))
			continue;
		if (!x->changed)
			x->since = now;
		x->changed = true;
		x->last = now;
	}
}

void schedule_blind(struct schedule *s, bool blind, uint64_t now)
{
	if (blind && !s->blind) {
		for (size_t i = 0; i < s->count; i++)
			s->sets[i].blind_at = now + SCHEDULE_BLIND_MS;
	}
	s->blind = blind;
}

void schedule_now(struct schedule *s, uint64_t sets)
{
	for (size_t i = 0; i < s->count; i++)
		s->sets[i].wanted = s->sets[i].wanted || (s->sets[i].used && sets & bit(i));
}

void schedule_peer(struct schedule *s, uint64_t sets)
{
	for (size_t i = 0; i < s->count; i++) {
		if (sets & bit(i) && s->sets[i].unreached)
			s->sets[i].wanted = true;
	}
}

/* What is due. */

/* When what has changed may be read. */
static uint64_t settled_at(const struct schedule *s, const struct schedule_set *x)
{
	return MIN_OF(x->last + s->rules.settle, x->since + s->rules.settle * SCHEDULE_SETTLE_MAX);
}

/* When a conversation is due for X, leaving alone changes that have not settled. */
static uint64_t sync_at(const struct schedule *s, const struct schedule_set *x)
{
	if (x->failures)
		return x->retry_at;
	return s->look_at;
}

static uint64_t scan_at(const struct schedule *s, const struct schedule_set *x)
{
	if (x->changed)
		return settled_at(s, x);
	return s->blind ? x->blind_at : SCHEDULE_NEVER;
}

static enum schedule_kind due(const struct schedule *s, const struct schedule_set *x, uint64_t now)
{
	if (x->wanted)
		return SCHEDULE_SYNC;
	if (x->changed && now < settled_at(s, x))
		return SCHEDULE_NOTHING;
	if (now >= x->full_at)
		return SCHEDULE_FULL;
	if (now >= sync_at(s, x))
		return SCHEDULE_SYNC;
	return now >= scan_at(s, x) ? SCHEDULE_SCAN : SCHEDULE_NOTHING;
}

/* X is not due. */
static uint64_t wake_at(const struct schedule *s, const struct schedule_set *x)
{
	uint64_t at;

	if (x->changed)
		return settled_at(s, x);
	at = MIN_OF(sync_at(s, x), x->full_at);
	return MIN_OF(at, scan_at(s, x));
}

static struct schedule_job find(const struct schedule *s, uint64_t now)
{
	struct schedule_job job = {.at = SCHEDULE_NEVER};

	for (size_t i = 0; i < s->count; i++) {
		const struct schedule_set *x = &s->sets[i];
		enum schedule_kind kind = x->used ? due(s, x, now) : SCHEDULE_NOTHING;

		if (!x->used)
			continue;
		if (kind == SCHEDULE_NOTHING)
			job.at = MIN_OF(job.at, wake_at(s, x));
		if (kind > job.kind)
			job = (struct schedule_job){.kind = kind};
		if (kind != SCHEDULE_NOTHING && kind == job.kind)
			job.sets |= bit(i);
	}
	return job;
}

/* It reads what has changed so far. */
static void begin(struct schedule *s, struct schedule_set *x, enum schedule_kind kind, uint64_t now)
{
	x->changed = false;
	x->blind_at = now + SCHEDULE_BLIND_MS;
	if (kind != SCHEDULE_SCAN)
		x->wanted = false;
	if (kind == SCHEDULE_FULL)
		x->full_at = now + s->rules.scan_interval;
}

struct schedule_job schedule_next(struct schedule *s, uint64_t now)
{
	struct schedule_job job;

	if (schedule_is_busy(s))
		return (struct schedule_job){.at = SCHEDULE_NEVER};
	job = find(s, now);
	if (job.kind == SCHEDULE_NOTHING)
		return job;
	for (size_t i = 0; i < s->count; i++) {
		if (job.sets & bit(i))
			begin(s, &s->sets[i], job.kind, now);
	}
	if (job.kind == SCHEDULE_SYNC && now >= s->look_at)
		s->look_at = now + s->rules.interval;
	s->job = job;
	s->open = job.sets;
	return job;
}

/* Outcomes. */

static void failed(struct schedule_set *x, bool unreached, uint64_t now)
{
	uint64_t delay = SCHEDULE_RETRY_MS;

	for (unsigned i = 0; i < x->failures && delay < SCHEDULE_RETRY_MAX_MS; i++)
		delay *= 2;
	x->failures++;
	x->unreached = unreached;
	x->retry_at = now + MIN_OF(delay, (uint64_t)SCHEDULE_RETRY_MAX_MS);
}

static void over(struct schedule_set *x)
{
	x->failures = 0;
	x->unreached = false;
}

void schedule_outcome(struct schedule *s, size_t set, enum schedule_outcome outcome, uint64_t now)
{
	struct schedule_set *x;

	if (set >= s->count || !(s->open & bit(set)))
		return;
	x = &s->sets[set];
	s->open &= ~bit(set);
	switch (outcome) {
	case SCHEDULE_SAME:
		break;
	case SCHEDULE_DIFFERS:
		over(x);
		x->wanted = true;
		break;
	case SCHEDULE_DONE:
		over(x);
		break;
	case SCHEDULE_FAILED:
	case SCHEDULE_UNREACHED:
		failed(x, outcome == SCHEDULE_UNREACHED, now);
		break;
	}
}

void schedule_over(struct schedule *s, uint64_t now)
{
	for (size_t i = 0; i < s->count; i++)
		schedule_outcome(s, i, SCHEDULE_FAILED, now);
	s->job = (struct schedule_job){0};
}

bool schedule_is_busy(const struct schedule *s)
{
	return s->job.kind != SCHEDULE_NOTHING;
}
