/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The course of a campaign: units are ticked when due (due.h), as fast as net_allowance() lets,
 * and a unit that is not over is always due some time; the list is synced now and then; the end
 * comes when all units are over.
 */
#include "campaign_inner.h"

#include "clock.h"
#include "log.h"
#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	FLUSH_MS = 1000,
	FLUSH_AGAIN_MS = 5000, /* after one that failed */
	COPIES_FOR = 5000,     /* units; more would make a flood of it */
	COPIES = 3,
	STARTS_PER_MS = 128, /* keeps the order of the list, and those behind from looking late */
};

const struct plan_world *campaign_world(struct campaign *c)
{
	c->world.now = c->reactor->now;
	c->world.copies = c->units.left <= COPIES_FOR ? COPIES : 1;
	if (xid_random(&c->xid, &c->world.random) < 0)
		c->world.random = 0; /* gaps are the same, then */
	return &c->world;
}

/* Ticks. */

static void tick(struct campaign *c, struct unit *u)
{
	struct plan_steps steps;

	due_clear(&c->due, campaign_number(c, u));
	plan_tick(&u->plan, unit_cands(u), campaign_world(c), &steps);
	campaign_run_steps(c, u, &steps);
}

/* When to look again; units that are due have to wait for room for their replies. */
static void set_timer(struct campaign *c, bool have, uint32_t at, uint32_t now)
{
	if (!have)
		return;
	reactor_timer_set(c->reactor, &c->pump_timer,
		due_before(now, at) ? at - now : (uint32_t)NET_SLOT_MS / 2);
}

static void pump(struct campaign *c)
{
	uint32_t now = (uint32_t)(c->reactor->now - c->world.start), number, at;
	bool late = c->reactor->now >= c->world.deadline; /* nothing is sent any more */
	bool have;

	while ((have = due_first(&c->due, &number, &at)) && !due_before(now, at)) {
		if (!late && net_allowance(c->job->net) == 0)
			break;
		tick(c, campaign_unit(c, number));
	}
	set_timer(c, have, at, now);
}

static void on_pump_timer(struct reactor_timer *t)
{
	pump(container_of(t, struct campaign, pump_timer));
}

static void on_pump_task(struct reactor_task *t)
{
	pump(container_of(t, struct campaign, pump));
}

void campaign_on_room(void *arg)
{
	struct campaign *c = arg;

	reactor_defer(c->reactor, &c->pump);
}

/* The list on disk. */

void campaign_list_failed(struct campaign *c, const struct err *err)
{
	bool *said = &c->said[MIN_OF((unsigned)err->code, (unsigned)CAMPAIGN_ERRORS - 1)];

	if (!*said)
		log_warn("%s; tried again until the end", err->text);
	*said = true;
}

static bool flush(struct campaign *c)
{
	struct err err = {0};

	if (!monlist_is_dirty(c->job->list))
		return true;
	if (monlist_flush(c->job->list, &err) < 0) {
		campaign_list_failed(c, &err);
		return false;
	}
	memset(c->said, 0, sizeof(c->said)); /* that is over: the next one is news */
	return true;
}

static void on_flush_timer(struct reactor_timer *t)
{
	struct campaign *c = container_of(t, struct campaign, flush_timer);

	reactor_timer_set(c->reactor, t, flush(c) ? FLUSH_MS : FLUSH_AGAIN_MS);
}

/* Beginning and end. */

static bool is_call_used(void *arg, uint32_t xid, uint32_t number)
{
	struct campaign *c = arg;
	uint8_t at;
	bool tells;

	return unit_find(campaign_unit(c, number), xid, &at, &tells);
}

static int start_parts(struct campaign *c)
{
	const struct campaign_job *j = c->job;
	struct net_handler net = {campaign_on_reply, campaign_on_failure, campaign_on_room, c};
	struct tcp_handler tcp = {campaign_on_tcp_begin, campaign_on_tcp_end, c};
	struct resolve_handler resolve = {campaign_on_lookup, campaign_on_resolved, c};
	int r = units_init(&c->units, j->list, j->self);

	if (r == 0)
		r = due_init(&c->due, c->units.count);
	if (r == 0)
		r = xid_init(&c->xid, c->units.count, is_call_used, c);
	if (r == 0)
		r = tcp_init(&c->tcp, j->reactor, j->self, c->units.count, &tcp);
	if (r == 0)
		r = resolve_init(&c->resolve, j->reactor, c->units.count, &resolve);
	return r == 0 ? net_start(j->net, j->reactor, &net) : r;
}

static void set_times(struct campaign *c)
{
	uint64_t retry = c->job->settings->retry_ms;

	c->world.start = clock_ms(); /* the reactor has the time of its last turn */
	c->world.deadline = retry ? c->world.start + retry : UINT64_MAX;
	c->world.v4 = net_has(c->job->net, false);
	c->world.v6 = net_has(c->job->net, true);
}

static int start(struct campaign *c)
{
	int r = start_parts(c);

	if (r < 0)
		return r;
	set_times(c);
	c->pump.fn = on_pump_task;
	c->pump_timer.fn = on_pump_timer;
	c->flush_timer.fn = on_flush_timer;
	for (uint32_t i = 0; i < c->units.count; i++)
		due_set(&c->due, i, i / STARTS_PER_MS);
	reactor_defer(c->reactor, &c->pump);
	return reactor_timer_set(c->reactor, &c->flush_timer, FLUSH_MS);
}

static bool is_done(void *arg)
{
	struct campaign *c = arg;

	return c->units.left == 0;
}

/* What there is to say of it. */
static int conclude(struct campaign *c)
{
	const struct monlist *l = c->job->list;
	struct campaign_result *r = c->result;

	r->stopped = c->units.left > 0;
	r->ms = clock_ms() - c->world.start;
	r->udp = net_counts(c->job->net);
	r->connections = c->tcp.total;
	r->lookups = c->resolve.total;
	r->faults = calloc(MAX_OF(l->peer_count, 1U), 1);
	if (!r->faults)
		return -ENOMEM;
	for (uint32_t i = 0; i < l->peer_count; i++)
		*(l->peers[i].left == 0 ? &r->told : &r->not_told) += 1;
	for (uint32_t i = 0; i < c->units.count; i++) {
		if (!c->units.all[i].told)
			r->faults[c->units.all[i].peer] = c->units.all[i].plan.fault;
	}
	return 0;
}

static void stop_parts(struct campaign *c)
{
	reactor_timer_cancel(c->reactor, &c->pump_timer);
	reactor_timer_cancel(c->reactor, &c->flush_timer);
	reactor_undefer(c->reactor, &c->pump);
	resolve_done(&c->resolve);
	tcp_done(&c->tcp);
	net_done(c->job->net);
	xid_done(&c->xid);
	due_done(&c->due);
	units_done(&c->units);
}

int campaign_run(const struct campaign_job *job, struct campaign_result *ret, struct err *err)
{
	struct campaign c = {.job = job, .reactor = job->reactor, .result = ret};
	int r, concluded;

	*ret = (struct campaign_result){0};
	r = start(&c);
	if (r == 0)
		r = reactor_run_until(c.reactor, is_done, &c);
	flush(&c);
	concluded = conclude(&c);
	stop_parts(&c);
	r = r < 0 ? r : concluded;
	return r < 0 ? err_sys(err, -r, "notifying") : 0;
}
