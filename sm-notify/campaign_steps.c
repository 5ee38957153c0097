/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Steps of a plan carried out: calls are built and sent, conversations and lookups get in line, and
 * units end. What cannot be sent is as good as lost and will be sent again by a later tick.
 */
#include "campaign_inner.h"

#include "log.h"
#include "util.h"

#include <string.h>

/* The end of a unit. */

void campaign_end_unit(struct campaign *c, struct unit *u)
{
	struct plan_cand *cands = unit_cands(u);
	bool busy = false;

	for (uint8_t at = 0; at < u->plan.count; at++)
		busy = busy || cands[at].busy;
	if (busy)
		tcp_forget(&c->tcp, campaign_number(c, u));
	due_clear(&c->due, campaign_number(c, u));
	u->over = true;
	c->units.left--;
}

static void complain(struct unit *u, const struct campaign *c)
{
	char text[128];

	if (u->complained || u->plan.fault < PLAN_BAD_REPLY)
		return;
	u->complained = true;
	plan_fault_text((enum plan_fault)u->plan.fault, text, sizeof(text));
	log_peer(LOG_LEVEL_INFO, "%s: %s; will be tried again", unit_peer_name(&c->units, u), text);
}

/* Sending. */

static size_t build_query(const struct campaign *c, const struct addr *to,
	const struct plan_step *s, uint32_t xid, uint8_t *out)
{
	char universal[ADDR_UNIVERSAL_MAX];
	struct rpc_query q = {s->method, s->prot, !addr_is_v4(to), universal};

	addr_universal(to, c->job->settings->rpcbind_port, universal);
	return rpc_call_query(out, xid, &q);
}

static size_t build_notify(
	const struct campaign *c, const struct unit *u, uint32_t xid, uint8_t *out)
{
	size_t len;
	const char *name = unit_name(&c->units, u, &len);

	return rpc_call_notify(out, xid, name, MIN_OF(len, (size_t)RPC_NAME_MAX), c->job->state);
}

size_t campaign_build(const struct campaign *c, const struct unit *u, const struct addr *to,
	const struct plan_step *s, uint32_t xid, uint8_t *out)
{
	return s->what == PLAN_ASK ? build_query(c, to, s, xid, out) : build_notify(c, u, xid, out);
}

uint16_t campaign_port(const struct campaign *c, const struct plan_step *s)
{
	return s->what == PLAN_ASK ? c->job->settings->rpcbind_port : s->port;
}

/* What cannot be sent just now is as good as lost, and sent again at the next tick. */
static void send_udp(struct campaign *c, struct unit *u, const struct plan_step *s)
{
	struct plan_cand *cand = &unit_cands(u)[s->cand];
	uint32_t *xid = s->what == PLAN_ASK ? &cand->ask_xid : &cand->tell_xid;
	uint8_t call[RPC_CALL_MAX];
	struct addr to;
	size_t len;

	if (!unit_addr(&c->units, u, s->cand, &to))
		return;
	if (!*xid && xid_draw(&c->xid, campaign_number(c, u), xid) < 0)
		return;
	len = campaign_build(c, u, &to, s, *xid, call);
	for (unsigned i = 0; i < s->copies; i++)
		net_send(c->job->net, &to, campaign_port(c, s), call, len);
}

static void send_tcp(struct campaign *c, struct unit *u, const struct plan_step *s)
{
	unit_cands(u)[s->cand].waits = true;
	tcp_want(&c->tcp, campaign_number(c, u));
}

static void run_step(struct campaign *c, struct unit *u, const struct plan_step *s)
{
	switch (s->what) {
	case PLAN_RESOLVE:
		resolve_want(&c->resolve, campaign_number(c, u), u->plan.count == 0);
		break;
	case PLAN_ASK:
	case PLAN_TELL:
		if (s->by == RPC_UDP)
			send_udp(c, u, s);
		else
			send_tcp(c, u, s);
		break;
	case PLAN_GIVE_UP:
		campaign_end_unit(c, u);
		break;
	case PLAN_NEXT: /* that was done where it was acknowledged */
		break;
	}
}

void campaign_run_steps(struct campaign *c, struct unit *u, const struct plan_steps *steps)
{
	if (steps->due)
		due_set(&c->due, campaign_number(c, u), (uint32_t)(steps->due - c->world.start));
	for (size_t i = 0; i < steps->count && !u->over; i++)
		run_step(c, u, &steps->step[i]);
	complain(u, c);
}
