/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What has come of the steps. An answer is tied to its unit by its call number, and counts only if
 * it comes from one of the unit's addresses; a unit that is over has no numbers any more. Records
 * are dropped here and nowhere else.
 */
#include "campaign_inner.h"

#include "log.h"
#include "util.h"

#include <errno.h>

/* Answers. */

static void log_told(const struct campaign *c, const struct unit *u, const struct plan_step *s)
{
	char at[ADDR_TEXT_MAX] = "?";
	const char *name;
	struct addr a;
	size_t len;

	if (log_level_now() < LOG_LEVEL_DEBUG)
		return;
	if (unit_addr(&c->units, u, s->cand, &a))
		addr_print(&a, at);
	name = unit_name(&c->units, u, &len);
	log_debug("%s: told at %s as \"%.*s\"", unit_peer_name(&c->units, u), at, (int)len, name);
}

static void took_name(struct campaign *c, struct unit *u, const struct plan_step *s, uint8_t name)
{
	bool more = unit_has_more(&c->units, u);
	struct plan_steps steps;
	struct err err;

	plan_told(&u->plan, unit_cands(u), s, name, more, campaign_world(c), &steps);
	if (steps.count == 0 || steps.step[0].what != PLAN_NEXT)
		return;
	log_told(c, u, s);
	if (unit_advance(&c->units, u, &err) < 0)
		campaign_list_failed(c, &err);
	if (more) {
		campaign_run_steps(c, u, &steps);
		return;
	}
	u->told = true;
	campaign_end_unit(c, u);
}

static void fail(
	struct campaign *c, struct unit *u, const struct plan_step *s, enum plan_fault fault)
{
	struct plan_steps steps;

	plan_failed(&u->plan, unit_cands(u), s, fault, campaign_world(c), &steps);
	campaign_run_steps(c, u, &steps);
}

static void took_port(struct campaign *c, struct unit *u, const struct plan_step *s,
	const struct rpc_reply *reply)
{
	struct plan_steps steps;
	uint16_t port;

	if (rpc_parse_port(s->method, reply, &port) < 0) {
		fail(c, u, s, PLAN_BAD_REPLY);
		return;
	}
	plan_port(&u->plan, unit_cands(u), s, port, campaign_world(c), &steps);
	campaign_run_steps(c, u, &steps);
}

static void take(struct campaign *c, struct unit *u, const struct plan_step *s, uint8_t name,
	const struct rpc_reply *reply)
{
	bool asked = s->what == PLAN_ASK;

	if (reply->answer != RPC_DONE)
		fail(c, u, s,
			(enum plan_fault)((asked ? PLAN_ASK_ANSWER : PLAN_TELL_ANSWER) +
				(unsigned)reply->answer));
	else if (asked)
		took_port(c, u, s, reply);
	else
		took_name(c, u, s, name);
}

static void log_strange(const struct addr *from, const char *what)
{
	char text[ADDR_TEXT_MAX];

	addr_print(from, text);
	log_peer(LOG_LEVEL_DEBUG, "%s: %s", text, what);
}

/* The unit, candidate and call this number belongs to; false: nobody waits for it. */
static bool find_call(
	struct campaign *c, uint32_t xid, struct unit **ret_unit, struct plan_step *ret)
{
	uint32_t number;
	uint8_t at;
	bool tells;

	if (!xid_find(&c->xid, xid, &number) ||
		!unit_find(campaign_unit(c, number), xid, &at, &tells))
		return false;
	*ret_unit = campaign_unit(c, number);
	*ret = tells ? plan_notification(&unit_cands(*ret_unit)[at], at)
		     : plan_question(&unit_cands(*ret_unit)[at], at);
	return true;
}

void campaign_on_reply(void *arg, const struct addr *from, const uint8_t *bytes, size_t len)
{
	struct campaign *c = arg;
	struct rpc_reply reply;
	struct plan_step step;
	struct unit *u;

	campaign_on_room(c);
	if (rpc_parse_reply(bytes, len, &reply) < 0 || !find_call(c, reply.xid, &u, &step)) {
		c->result->strange++;
		return;
	}
	if (!unit_has(&c->units, u, from)) {
		c->result->strange++;
		log_strange(from, "a reply that only another host could give");
		return;
	}
	take(c, u, &step, u->plan.name, &reply);
}

static enum plan_fault fault_of(int code)
{
	return code == ECONNREFUSED ? PLAN_REFUSED : PLAN_UNREACHABLE;
}

void campaign_on_failure(void *arg, const struct net_failure *f)
{
	struct campaign *c = arg;
	struct plan_step step;
	struct addr to;
	struct unit *u;

	if (!find_call(c, f->xid, &u, &step) || !unit_addr(&c->units, u, step.cand, &to) ||
		!addr_equal(&to, &f->to) || campaign_port(c, &step) != f->port)
		return;
	fail(c, u, &step, fault_of(f->code));
}

/* TCP. */

bool campaign_on_tcp_begin(void *arg, uint32_t number, struct tcp_order *ret)
{
	struct campaign *c = arg;
	struct unit *u = campaign_unit(c, number);
	struct plan_cand *cands = unit_cands(u);
	uint8_t at = 0;

	while (at < u->plan.count && !cands[at].waits)
		at++;
	if (u->over || at == u->plan.count)
		return false;
	cands[at].waits = false;
	ret->step = plan_conversation(&cands[at], at);
	ret->name = u->plan.name;
	ret->port = campaign_port(c, &ret->step);
	if (!unit_addr(&c->units, u, at, &ret->to) || xid_random(&c->xid, &ret->xid) < 0) {
		cands[at].busy = false;
		return false;
	}
	ret->len = campaign_build(c, u, &ret->to, &ret->step, ret->xid, ret->call);
	return true;
}

void campaign_on_tcp_end(void *arg, const struct tcp_end *end)
{
	struct campaign *c = arg;
	struct unit *u = campaign_unit(c, end->unit);

	if (u->over)
		return;
	if (end->reply)
		take(c, u, &end->step, end->name, end->reply);
	else
		fail(c, u, &end->step, end->fault);
}

/* Names. */

bool campaign_on_lookup(void *arg, uint32_t number, const char **ret_name, const char **ret_other)
{
	struct campaign *c = arg;
	struct unit *u = campaign_unit(c, number);

	return !u->over && unit_lookup(&c->units, u, ret_name, ret_other);
}

void campaign_on_resolved(void *arg, uint32_t number, const struct addr *addrs, size_t count)
{
	struct campaign *c = arg;
	struct unit *u = campaign_unit(c, number);
	struct plan_steps steps;

	if (u->over)
		return;
	/* Conversations know their candidate by its place. */
	if (count > 0 && unit_set_addrs(&c->units, u, addrs, count) > 0)
		tcp_forget(&c->tcp, number);
	plan_resolved(&u->plan, unit_cands(u), u->plan.count, campaign_world(c), &steps);
	campaign_run_steps(c, u, &steps);
}
