/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control commands that keep clients within bounds.
 *
 *	end-client id [now]             ends it between requests, or cuts it
 *	limits [requests] [bandwidth]   a second, of all clients together; 0 = none
 *	       [idle]                   seconds after which a client that rests is ended; 0 = never
 *
 * Connections are the lanes', so each lane is told, and the answer comes when all have done it: a
 * round, in a struct of its own.
 */
#include "limiter.h"
#include "round.h"
#include "util.h"
#include "worker_inner.h"

#include <errno.h>
#include <string.h>

enum { IDLE_MAX_S = 1000 * 1000 };

struct order {
	struct worker *worker;
	struct errand *errand;
	struct round round;
	uint64_t id;
	uint64_t idle_ms;
	bool now;
	_Atomic bool found;
	struct order *next;
};

static void free_order(struct order *o)
{
	struct order **p = &o->worker->orders;

	while (*p != o)
		p = &(*p)->next;
	*p = o->next;
	free(o);
}

/* NULL without memory, which is answered. */
static struct order *new_order(struct worker *w, struct ctl_conn *c, json_t *msg, const char *what)
{
	struct order *o = calloc(1, sizeof(*o));

	if (!o) {
		ctl_send_error(c, "out of memory");
		return NULL;
	}
	o->worker = w;
	o->next = w->orders;
	w->orders = o;
	o->errand = errand_new(w, c, msg, what, o);
	if (o->errand)
		return o;
	free_order(o);
	return NULL;
}

static void start(
	struct order *o, void (*step)(struct round_step *s), void (*done)(struct round *r))
{
	struct worker *w = o->worker;

	round_start(&o->round, &w->reactor, w->lanes, w->lanes_ready, step, done);
}

/* end-client */

/* In the lane's thread. */
static void end_step(struct round_step *s)
{
	struct order *o = container_of(s->round, struct order, round);

	for (struct conn *c = s->lane->conns; c; c = c->next) {
		if (c->id != o->id)
			continue;
		if (o->now)
			conn_cut(c);
		else
			conn_leave(c);
		o->found = true;
	}
	round_step_done(s);
}

static void ended(struct round *r)
{
	struct order *o = container_of(r, struct order, round);
	struct errand *e = o->errand;
	int result = 0;

	if (!o->found)
		result = err_set(&e->err, ENOENT,
			"end-client: there is no client with the id %llu (any more)",
			(unsigned long long)o->id);
	free_order(o);
	errand_answer(e, result);
}

static void do_end_client(struct worker *w, struct ctl_conn *c, json_t *msg, int fd)
{
	json_t *id = json_object_get(msg, "id");
	struct order *o;

	fd_close(&fd);
	if (!json_is_integer(id) || json_integer_value(id) <= 0) {
		ctl_send_error(c, "end-client: needs the id of a client, a number above 0");
		return;
	}
	o = new_order(w, c, msg, "end-client");
	if (!o)
		return;
	o->id = (uint64_t)json_integer_value(id);
	o->now = json_is_true(json_object_get(msg, "now"));
	start(o, end_step, ended);
}

/* limits */

/* In the lane's thread. */
static void limit_step(struct round_step *s)
{
	struct order *o = container_of(s->round, struct order, round);
	struct throttle *t = &o->worker->throttle;

	limiter_change(s->lane, throttle_is_on(t) ? t : NULL);
	lane_set_idle(s->lane, o->idle_ms);
	round_step_done(s);
}

static void limited(struct round *r)
{
	struct order *o = container_of(r, struct order, round);
	struct errand *e = o->errand;

	worker_add_limits(o->worker, e->answer);
	free_order(o);
	errand_answer(e, 0);
}

void worker_add_limits(const struct worker *w, json_t *answer)
{
	json_object_update_new(answer,
		json_pack("{s:I, s:I, s:I}", "limit_requests",
			(json_int_t)throttle_rate(&w->throttle, THROTTLE_REQUESTS),
			"limit_bandwidth", (json_int_t)throttle_rate(&w->throttle, THROTTLE_BYTES),
			"idle_timeout", (json_int_t)(w->config.limits.idle_ms / 1000)));
}

/* Missing: stays as it is. */
static bool is_limit(const json_t *value, uint64_t max)
{
	return !value ||
		(json_is_integer(value) && json_integer_value(value) >= 0 &&
			(uint64_t)json_integer_value(value) <= max);
}

static void set_limit(struct worker *w, enum throttle_kind kind, const json_t *value)
{
	if (value)
		throttle_set(&w->throttle, kind, (uint64_t)json_integer_value(value));
}

static void do_limits(struct worker *w, struct ctl_conn *c, json_t *msg, int fd)
{
	json_t *requests = json_object_get(msg, "requests");
	json_t *bandwidth = json_object_get(msg, "bandwidth");
	json_t *idle = json_object_get(msg, "idle");
	struct order *o;

	fd_close(&fd);
	if (!is_limit(requests, THROTTLE_REQUESTS_MAX) ||
		!is_limit(bandwidth, THROTTLE_BYTES_MAX) || !is_limit(idle, IDLE_MAX_S)) {
		ctl_send_error(c,
			"limits: requests (up to 10^9) and bandwidth (up to 2^40 bytes) are numbers a second, idle (up to 10^6) is seconds; 0 = no limit");
		return;
	}
	o = new_order(w, c, msg, "limits");
	if (!o)
		return;
	set_limit(w, THROTTLE_REQUESTS, requests);
	set_limit(w, THROTTLE_BYTES, bandwidth);
	if (idle)
		w->config.limits.idle_ms = (uint64_t)json_integer_value(idle) * 1000;
	o->idle_ms = w->config.limits.idle_ms;
	start(o, limit_step, limited);
}

const struct worker_command worker_rules_commands[] = {
	{"end-client", do_end_client},
	{"limits", do_limits},
	{NULL, NULL},
};

void worker_end_orders(struct worker *w)
{
	while (w->orders)
		free_order(w->orders);
}
