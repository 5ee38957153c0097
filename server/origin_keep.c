/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeps connections to an origin, in its thread. The first place always has one or tries to; the
 * others only while some connection is ready and the origin takes several, so whatever happens to
 * them harms nobody. A place is in one of three conditions: its link is not closed, its timer
 * `retry` is set, or it is one of the others and waits until a connection is ready.
 *
 * Moving: the candidate connects beside the places, and when it is ready it becomes the first one.
 */
#include "origin_inner.h"

#include "clock.h"
#include "log.h"
#include "util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static unsigned ready_count(const struct origin *o)
{
	unsigned n = 0;

	for (unsigned i = 0; i < o->config.connections; i++)
		n += o->places[i]->link.state == ORIGIN_LINK_READY;
	return n;
}

static bool is_right_size(const struct origin *o, uint64_t size)
{
	return size > 0 && (o->size == 0 || size == o->size);
}

static void size_text(const struct origin *o, uint64_t size, char out[ERR_TEXT_MAX])
{
	if (o->size == 0)
		snprintf(out, ERR_TEXT_MAX, "it has no bytes");
	else
		snprintf(
			out, ERR_TEXT_MAX, "it has %" PRIu64 " bytes, not %" PRIu64, size, o->size);
}

/* True if the state is another one, or it is the first time that we know why not. */
static bool set_state(struct origin *o, enum origin_state state, const char *error)
{
	struct origin_status *st = &o->status;
	bool news = st->state != state || (state == ORIGIN_CONNECTING && !st->error[0]);

	pthread_mutex_lock(&o->lock);
	if (st->state != state)
		st->since = o->reactor.now;
	st->state = state;
	st->connections = ready_count(o);
	snprintf(st->error, sizeof(st->error), "%s", error);
	pthread_cond_broadcast(&o->changed);
	pthread_mutex_unlock(&o->lock);
	return news;
}

static void set_facts(struct origin *o, const struct origin_facts *f, bool again)
{
	struct origin_status *st = &o->status;

	o->size = f->size;
	o->multi = f->multi;
	pthread_mutex_lock(&o->lock);
	st->reconnects += again;
	st->size = f->size;
	st->readonly = f->readonly;
	st->has_status = f->status;
	pthread_cond_broadcast(&o->changed);
	pthread_mutex_unlock(&o->lock);
}

static void dial(struct origin_place *p)
{
	origin_link_open(&p->link, p->origin->status.uri, p->origin->config.timeout_ms);
}

static void open_others(struct origin *o)
{
	for (unsigned i = 1; o->multi && i < o->config.connections; i++) {
		struct origin_place *p = o->places[i];

		if (p->link.state == ORIGIN_LINK_CLOSED && !p->retry.slot)
			dial(p);
	}
}

static void retry(struct reactor_timer *t)
{
	struct origin_place *p = container_of(t, struct origin_place, retry);
	struct origin *o = p->origin;

	if (p == o->places[0])
		dial(p);
	else if (ready_count(o) > 0)
		open_others(o);
}

/* From three quarters of MS to five: many who lost the same origin do not come back as one. */
static unsigned jittered(struct origin *o, unsigned ms)
{
	o->random ^= o->random << 13;
	o->random ^= o->random >> 17;
	o->random ^= o->random << 5;
	return ms - ms / 4 + o->random % (ms / 2);
}

static void back_off(struct origin_place *p)
{
	const struct origin_link *l = &p->link;
	struct reactor *r = &p->origin->reactor;

	if (l->facts.size > 0 && r->now - l->since >= ORIGIN_BACKOFF_MAX_MS)
		p->delay = ORIGIN_BACKOFF_MIN_MS;
	reactor_timer_set(r, &p->retry, jittered(p->origin, p->delay));
	p->delay = MIN_OF(2 * p->delay, (unsigned)ORIGIN_BACKOFF_MAX_MS);
}

static void give_up(struct reactor_timer *t)
{
	struct origin *o = container_of(t, struct origin, wait_timer);

	o->given_up = true;
	origin_jobs_dispatch(o);
}

/* From now on there is none. */
static void begin_waiting(struct origin *o)
{
	if (o->config.wait_ms && !o->given_up && !o->wait_timer.slot)
		reactor_timer_set(&o->reactor, &o->wait_timer, o->config.wait_ms);
}

static void joined(struct origin_place *p, bool moved)
{
	struct origin *o = p->origin;
	const struct origin_facts *f = &p->link.facts;
	bool news = moved || o->status.state != ORIGIN_CONNECTED;

	o->given_up = false;
	reactor_timer_cancel(&o->reactor, &o->wait_timer);
	set_state(o, ORIGIN_CONNECTED, "");
	set_facts(o, f, news && o->status.size > 0); /* origin_wait() waits for these */
	if (news)
		log_peer(LOG_LEVEL_INFO, "origin %s: connected (%" PRIu64 " bytes, %u connections)",
			o->status.uri, f->size, f->multi ? o->config.connections : 1);
	open_others(o);
	origin_jobs_dispatch(o);
}

static void hold(struct origin_place *p)
{
	struct origin *o = p->origin;
	char text[ERR_TEXT_MAX];

	size_text(o, p->link.facts.size, text);
	origin_link_close(&p->link);
	reactor_timer_set(&o->reactor, &p->retry, ORIGIN_BACKOFF_MAX_MS);
	if (ready_count(o) == 0 && set_state(o, ORIGIN_HELD, text))
		log_peer(LOG_LEVEL_WARN, "origin %s: held: %s", o->status.uri, text);
}

static void lost(struct origin *o, const char *reason)
{
	bool ever = o->status.size > 0;

	if (ready_count(o) > 0) {
		set_state(o, ORIGIN_CONNECTED, "");
		return;
	}
	begin_waiting(o);
	if (set_state(o, ever ? ORIGIN_LOST : ORIGIN_CONNECTING, reason))
		log_peer(LOG_LEVEL_WARN, "origin %s: %s: %s; trying again", o->status.uri,
			ever ? "lost" : "not reached", reason);
}

/* Moving. */

/* Another caller may have asked for something else already: that is not over. */
static void move_is_over(struct origin *o, int result, const char *text)
{
	struct origin_move *m = &o->move;

	pthread_mutex_lock(&o->lock);
	if (m->state == ORIGIN_MOVE_LEFT) {
		m->state = ORIGIN_MOVE_NONE;
	} else if (m->state == ORIGIN_MOVE_RUNNING || m->state == ORIGIN_MOVE_MADE) {
		m->state = ORIGIN_MOVE_OVER;
		m->result = result;
		if (result < 0)
			err_set(&m->err, -result, "origin %s: %s", o->candidate_uri, text);
	}
	pthread_cond_broadcast(&o->changed);
	pthread_mutex_unlock(&o->lock);
}

static void fail_move(struct origin *o, int result, const char *text)
{
	origin_link_close(&o->candidate->link);
	move_is_over(o, result, text);
}

/* False if the caller has left: then nothing moves. */
static bool commit_move(struct origin *o)
{
	bool made;

	pthread_mutex_lock(&o->lock);
	made = o->move.state == ORIGIN_MOVE_RUNNING;
	if (made) {
		o->move.state = ORIGIN_MOVE_MADE;
		memcpy(o->status.uri, o->candidate_uri, sizeof(o->status.uri));
	}
	pthread_mutex_unlock(&o->lock);
	return made;
}

static void close_places(struct origin *o)
{
	for (unsigned i = 0; i < o->config.connections; i++) {
		struct origin_place *p = o->places[i];

		reactor_timer_cancel(&o->reactor, &p->retry);
		p->delay = ORIGIN_BACKOFF_MIN_MS;
		origin_jobs_return(o, origin_link_close(&p->link), false);
	}
}

static void candidate_ready(struct origin *o)
{
	struct origin_place *p = o->candidate;
	char text[ERR_TEXT_MAX];

	size_text(o, p->link.facts.size, text);
	if (!is_right_size(o, p->link.facts.size)) {
		fail_move(o, -EINVAL, text);
		return;
	}
	if (!commit_move(o))
		return; /* origin_keep_move() closes it */
	close_places(o);
	o->candidate = o->places[0];
	o->places[0] = p;
	p->link.timeout_ms = o->config.timeout_ms;
	joined(p, true);
	move_is_over(o, 0, "");
}

void origin_keep_move(struct origin *o)
{
	struct origin_move *m = &o->move;
	enum origin_move_state state;

	pthread_mutex_lock(&o->lock);
	state = m->state;
	if (state == ORIGIN_MOVE_ASKED) {
		m->state = ORIGIN_MOVE_RUNNING;
		memcpy(o->candidate_uri, m->uri, sizeof(o->candidate_uri));
	} else if (state == ORIGIN_MOVE_LEFT) {
		m->state = ORIGIN_MOVE_NONE;
	}
	pthread_mutex_unlock(&o->lock);
	if (state == ORIGIN_MOVE_ASKED || state == ORIGIN_MOVE_LEFT)
		origin_link_close(&o->candidate->link); /* it may be about what was left */
	if (o->closed && (state == ORIGIN_MOVE_ASKED || state == ORIGIN_MOVE_RUNNING))
		fail_move(o, -ESHUTDOWN, "interrupted");
	else if (state == ORIGIN_MOVE_ASKED)
		origin_link_open(&o->candidate->link, o->candidate_uri, 0);
}

/* What links tell. */

static void link_ready(struct origin_link *l)
{
	struct origin_place *p = container_of(l, struct origin_place, link);

	if (p == p->origin->candidate)
		candidate_ready(p->origin);
	else if (is_right_size(p->origin, l->facts.size))
		joined(p, false);
	else
		hold(p);
}

static void link_ended(struct origin_link *l)
{
	struct origin_place *p = container_of(l, struct origin_place, link);
	struct origin *o = p->origin;
	struct origin_job *jobs;

	if (p == o->candidate) {
		fail_move(o, -ENOTCONN, l->reason);
		return;
	}
	jobs = origin_link_close(l);
	back_off(p);
	lost(o, l->reason);
	origin_jobs_return(o, jobs, true); /* after the state: who is told may look at it */
}

static void link_answered(struct origin_link *l, struct origin_job *job, int result)
{
	struct origin_place *p = container_of(l, struct origin_place, link);

	p->delay = ORIGIN_BACKOFF_MIN_MS;
	origin_jobs_answered(p->origin, job, result);
}

static const struct origin_link_ops link_ops = {
	.ready = link_ready, .ended = link_ended, .answered = link_answered};

static struct origin_place *new_place(struct origin *o)
{
	struct origin_place *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->origin = o;
	p->retry.fn = retry;
	p->delay = ORIGIN_BACKOFF_MIN_MS;
	origin_link_init(&p->link, &o->reactor, &link_ops);
	return p;
}

int origin_keep_init(struct origin *o)
{
	o->wait_timer.fn = give_up;
	o->random = (uint32_t)clock_ns() | 1;
	o->candidate = new_place(o);
	if (!o->candidate)
		return -ENOMEM;
	for (unsigned i = 0; i < o->config.connections; i++) {
		o->places[i] = new_place(o);
		if (!o->places[i])
			return -ENOMEM;
	}
	return 0;
}

void origin_keep_done(struct origin *o)
{
	for (unsigned i = 0; i < o->config.connections; i++)
		free(o->places[i]);
	free(o->candidate);
}

void origin_keep_start(struct origin *o)
{
	begin_waiting(o);
	dial(o->places[0]);
}

struct origin_link *origin_keep_choose(struct origin *o, const struct origin_job *job)
{
	struct origin_link *best = NULL;

	for (unsigned i = 0; i < o->config.connections; i++) {
		struct origin_link *l = &o->places[i]->link;

		if (origin_link_has_room(l, job) && (!best || l->in_flight < best->in_flight))
			best = l;
	}
	return best;
}

void origin_keep_close(struct origin *o)
{
	if (o->closed)
		return;
	o->closed = true;
	reactor_timer_cancel(&o->reactor, &o->wait_timer);
	close_places(o);
	set_state(o, o->status.size > 0 ? ORIGIN_LOST : ORIGIN_CONNECTING, "interrupted");
	origin_jobs_dispatch(o);
}
