/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One peer's way from an address to an acknowledgement. A call number (XID) stays the same while
 * the same thing is sent again, so a late reply to an earlier copy counts; it is given up when what
 * it asks has changed. Answers lead to the next step at once. Refusals do so once between two
 * ticks, so that no peer can make us send in circles.
 */
#include "plan.h"

#include "util.h"

#include <stdio.h>
#include <string.h>

enum {
	LOSSES_BEFORE_TCP = 2,     /* ticks */
	UNHEARD_BEFORE_ASKING = 2, /* tells; then the port may be another one by now */
	RESOLVE_FROM = 3,          /* tick, and from there every */
	RESOLVE_EVERY = 4,
	ALIVE_TICKS = 30, /* close together, of a peer that is there */
	UNHEARD_MAX = 127,
	COPIES_MAX = 3,
	RETRY_LOOKUP_MS = 1000,
	LATE_GAP_MS = 60 * 1000, /* plus a random part of that */
};

/* Steps. */

static struct plan_step *add(struct plan_steps *out, enum plan_what what, uint8_t at)
{
	struct plan_step *s = &out->step[out->count++];

	*s = (struct plan_step){.what = what, .cand = at, .copies = 1};
	return s;
}

static enum rpc_method method_of(const struct plan_cand *c, enum rpc_prot by)
{
	static const enum rpc_method order[2][RPC_METHODS] = {
		{RPC_GETPORT, RPC_GETADDR3, RPC_GETADDR4},
		{RPC_GETADDR3, RPC_GETADDR4, RPC_GETPORT},
	};

	return order[c->v6][c->asked[by]];
}

static enum rpc_prot other_of(enum rpc_prot prot)
{
	return prot == RPC_UDP ? RPC_TCP : RPC_UDP;
}

struct plan_step plan_question(const struct plan_cand *c, uint8_t at)
{
	return (struct plan_step){.what = PLAN_ASK,
		.cand = at,
		.by = RPC_UDP,
		.method = method_of(c, RPC_UDP),
		.prot = c->other ? RPC_TCP : RPC_UDP};
}

struct plan_step plan_notification(const struct plan_cand *c, uint8_t at)
{
	return (struct plan_step){
		.what = PLAN_TELL, .cand = at, .by = RPC_UDP, .port = c->port[RPC_UDP]};
}

struct plan_step plan_conversation(const struct plan_cand *c, uint8_t at)
{
	return (struct plan_step){.what = c->tcp_tells ? PLAN_TELL : PLAN_ASK,
		.cand = at,
		.by = RPC_TCP,
		.method = method_of(c, RPC_TCP),
		.prot = c->tcp_other ? RPC_UDP : RPC_TCP,
		.port = c->tcp_tells ? c->port[RPC_TCP] : 0};
}

/* Asks for the port of PROT; over TCP only if no conversation is under way. */
static void ask(struct plan_cand *c, uint8_t at, enum rpc_prot by, enum rpc_prot prot,
	struct plan_steps *out)
{
	struct plan_step *s;

	if (by == RPC_TCP && c->busy)
		return;
	c->begun = true;
	s = add(out, PLAN_ASK, at);
	s->by = by;
	s->prot = prot;
	s->method = method_of(c, by);
	if (by == RPC_TCP) {
		c->busy = true;
		c->tcp_tells = false;
		c->tcp_other = prot == RPC_UDP;
	} else if (c->other != (prot == RPC_TCP)) {
		c->other = prot == RPC_TCP;
		c->ask_xid = 0;
	}
}

static void tell(
	struct plan *p, struct plan_cand *c, uint8_t at, enum rpc_prot by, struct plan_steps *out)
{
	struct plan_step *s;

	if (by == RPC_TCP && c->busy)
		return;
	if (!c->port[by]) { /* refused meanwhile */
		ask(c, at, by, by, out);
		return;
	}
	s = add(out, PLAN_TELL, at);
	s->by = by;
	s->port = c->port[by];
	p->telling = true;
	if (by == RPC_TCP)
		c->busy = c->tcp_tells = true;
	else if (c->unheard < UNHEARD_MAX)
		c->unheard++;
}

/* Time. */

static uint64_t gap(const struct plan *p, const struct plan_world *w)
{
	static const uint16_t first[] = {0, 1000, 1000, 2000, 4000, 4000, 4000, 4000, 4000, 4000};

	if (p->alive && p->tries < ALIVE_TICKS)
		return p->tries < 4 ? 1000 : 2000;
	if (p->tries < ARRAY_LEN(first))
		return first[p->tries];
	if (w->now - w->start < PLAN_EARLY_MS)
		return PLAN_EARLY_GAP_MS - w->random % 1001;
	return LATE_GAP_MS + w->random % (LATE_GAP_MS + 1);
}

static void set_due(struct plan_steps *out, const struct plan_world *w, uint64_t after)
{
	out->due = MIN_OF(w->now + after, w->deadline);
}

/* Progress: what comes next is sent again soon if it gets lost. */
static void start_over(struct plan *p, const struct plan_world *w, struct plan_steps *out)
{
	p->tries = 1;
	set_due(out, w, gap(p, w));
}

static void is_there(struct plan *p, const struct plan_world *w, struct plan_steps *out)
{
	if (p->alive)
		return;
	p->alive = true;
	start_over(p, w, out);
}

/* Ticks. */

void plan_init(struct plan *p, bool named, size_t count)
{
	*p = (struct plan){.named = named, .count = (uint8_t)count};
}

static bool is_usable(const struct plan_cand *c, const struct plan_world *w)
{
	return c->v6 ? w->v6 : w->v4;
}

static bool has_usable(
	const struct plan *p, const struct plan_cand *cands, const struct plan_world *w)
{
	for (uint8_t at = 0; at < p->count; at++) {
		if (is_usable(&cands[at], w))
			return true;
	}
	return false;
}

static bool is_time_to_resolve(
	const struct plan *p, const struct plan_cand *cands, const struct plan_world *w)
{
	if (!has_usable(p, cands, w))
		return true;
	return p->tries >= RESOLVE_FROM && (p->tries - RESOLVE_FROM) % RESOLVE_EVERY == 0;
}

static void resolve(struct plan *p, const struct plan_cand *cands, const struct plan_world *w,
	struct plan_steps *out)
{
	if (!p->named || !is_time_to_resolve(p, cands, w))
		return;
	if (p->resolving) {
		p->overdue = true;
		return;
	}
	p->resolving = true;
	if (p->count == 0)
		p->fault = PLAN_NO_ADDRESS; /* so far */
	add(out, PLAN_RESOLVE, 0);
}

static void udp_round(struct plan *p, struct plan_cand *c, uint8_t at, struct plan_steps *out)
{
	/* Nothing comes back from its port: is there one of TCP? Or is it another one by now? */
	bool other = c->port[RPC_UDP] && !c->port[RPC_TCP] && p->tries % 2 == 0;

	if (!c->port[RPC_UDP] || c->unheard >= UNHEARD_BEFORE_ASKING)
		ask(c, at, RPC_UDP, other ? RPC_TCP : RPC_UDP, out);
	if (c->port[RPC_UDP])
		tell(p, c, at, RPC_UDP, out);
}

static void tcp_round(struct plan *p, struct plan_cand *c, uint8_t at, struct plan_steps *out)
{
	if (c->port[RPC_TCP] && (p->tries >= LOSSES_BEFORE_TCP || !c->port[RPC_UDP]))
		tell(p, c, at, RPC_TCP, out);
	else if (p->tries >= LOSSES_BEFORE_TCP && !c->heard)
		ask(c, at, RPC_TCP, RPC_TCP, out);
}

static void cand_round(struct plan *p, struct plan_cand *cands, uint8_t at,
	const struct plan_world *w, struct plan_steps *out)
{
	struct plan_cand *c = &cands[at];

	if (!is_usable(c, w)) {
		p->fault = PLAN_NO_FAMILY;
		return;
	}
	c->quick = false;
	udp_round(p, c, at, out);
	tcp_round(p, c, at, out);
	c->heard = false;
}

static void begin(struct plan_steps *out)
{
	out->due = 0;
	out->count = 0;
}

/* Once, once more, then more at a time. */
static void set_copies(const struct plan *p, const struct plan_world *w, struct plan_steps *out)
{
	unsigned copies = MIN_OF(MAX_OF((unsigned)p->tries, 1U), (unsigned)COPIES_MAX);

	for (size_t i = 0; i < out->count; i++) {
		if (out->step[i].by == RPC_UDP)
			out->step[i].copies = (uint8_t)MIN_OF(copies, (unsigned)w->copies);
	}
}

void plan_tick(
	struct plan *p, struct plan_cand *cands, const struct plan_world *w, struct plan_steps *out)
{
	begin(out);
	if (w->now >= w->deadline) {
		add(out, PLAN_GIVE_UP, 0);
		return;
	}
	p->telling = false;
	resolve(p, cands, w, out);
	for (uint8_t at = 0; at < p->count; at++)
		cand_round(p, cands, at, w, out);
	set_copies(p, w, out);
	if (p->tries < UINT16_MAX)
		p->tries++;
	set_due(out, w, gap(p, w));
}

/* Events. */

static bool ask_fresh(
	struct plan *p, struct plan_cand *cands, const struct plan_world *w, struct plan_steps *out)
{
	for (uint8_t at = 0; at < p->count; at++) {
		if (!cands[at].begun && is_usable(&cands[at], w))
			ask(&cands[at], at, RPC_UDP, RPC_UDP, out);
	}
	return out->count > 0;
}

void plan_resolved(struct plan *p, struct plan_cand *cands, size_t count,
	const struct plan_world *w, struct plan_steps *out)
{
	bool overdue = p->overdue;

	begin(out);
	p->resolving = p->overdue = false;
	p->count = (uint8_t)count;
	if (ask_fresh(p, cands, w, out)) {
		start_over(p, w, out);
	} else if (!has_usable(p, cands, w)) {
		p->fault = count > 0 ? PLAN_NO_FAMILY : PLAN_NO_ADDRESS;
		if (overdue) /* it took its time: no need to wait any longer */
			set_due(out, w, RETRY_LOOKUP_MS);
	}
}

static void not_registered(
	struct plan *p, struct plan_cand *c, const struct plan_step *step, struct plan_steps *out)
{
	if (step->prot == step->by) {
		ask(c, step->cand, step->by, other_of(step->prot), out);
		return;
	}
	p->fault = PLAN_NOT_REGISTERED;
	c->heard = step->by == RPC_UDP;
}

/* One after the other, not all candidates at once: they are the same host, most likely. */
static void found_port(struct plan *p, struct plan_cand *c, const struct plan_step *step,
	uint16_t port, struct plan_steps *out)
{
	bool moved = c->port[step->prot] && c->port[step->prot] != port;

	c->port[step->prot] = port;
	c->unheard = 0;
	if (moved || !p->telling)
		tell(p, c, step->cand, step->prot, out);
}

void plan_port(struct plan *p, struct plan_cand *cands, const struct plan_step *step, uint16_t port,
	const struct plan_world *w, struct plan_steps *out)
{
	struct plan_cand *c = &cands[step->cand];

	begin(out);
	if (step->by == RPC_TCP)
		c->busy = false;
	else
		c->ask_xid = 0;
	is_there(p, w, out);
	if (port)
		found_port(p, c, step, port, out);
	else
		not_registered(p, c, step, out);
}

static void next_name(struct plan *p, struct plan_cand *cands)
{
	p->name++;
	for (uint8_t at = 0; at < p->count; at++) {
		cands[at].tell_xid = 0;
		cands[at].unheard = 0;
	}
}

void plan_told(struct plan *p, struct plan_cand *cands, const struct plan_step *step, uint8_t name,
	bool more, const struct plan_world *w, struct plan_steps *out)
{
	struct plan_cand *c = &cands[step->cand];

	begin(out);
	if (step->by == RPC_TCP)
		c->busy = false;
	if (name != p->name)
		return; /* acknowledged before */
	next_name(p, cands);
	add(out, PLAN_NEXT, step->cand);
	if (!more)
		return;
	p->alive = true;
	tell(p, c, step->cand, step->by, out);
	start_over(p, w, out);
}

static bool says_no(enum plan_fault fault)
{
	return fault == PLAN_BAD_REPLY || fault >= PLAN_ASK_ANSWER;
}

static void question_failed(struct plan *p, struct plan_cand *c, const struct plan_step *step,
	enum plan_fault fault, struct plan_steps *out)
{
	if (step->by == RPC_UDP)
		c->ask_xid = 0;
	if (says_no(fault)) {
		c->asked[step->by] = (uint8_t)((c->asked[step->by] + 1) % RPC_METHODS);
		if (c->asked[step->by] != 0)
			ask(c, step->cand, step->by, step->by, out);
	} else if (step->by == RPC_TCP && c->port[RPC_TCP]) {
		tell(p, c, step->cand, RPC_TCP, out); /* UDP had the answer meanwhile */
	} else if (fault == PLAN_REFUSED && step->by == RPC_UDP && !c->quick) {
		c->quick = true;
		ask(c, step->cand, RPC_TCP, RPC_TCP, out);
	}
}

/* The port may be another one by now. */
static void notification_failed(struct plan *p, struct plan_cand *c, const struct plan_step *step,
	enum plan_fault fault, struct plan_steps *out)
{
	p->telling = false;
	if (fault == PLAN_UNREACHABLE)
		return;
	c->port[step->by] = 0;
	if (c->quick || fault == PLAN_CUT || fault == PLAN_SILENT)
		return;
	c->quick = true;
	ask(c, step->cand, step->by, step->by, out);
	if (step->by == RPC_UDP && fault == PLAN_REFUSED)
		ask(c, step->cand, RPC_TCP, RPC_TCP, out);
}

void plan_failed(struct plan *p, struct plan_cand *cands, const struct plan_step *step,
	enum plan_fault fault, const struct plan_world *w, struct plan_steps *out)
{
	struct plan_cand *c = &cands[step->cand];

	begin(out);
	if (step->by == RPC_TCP)
		c->busy = false;
	if (fault != PLAN_SILENT)
		p->fault = (uint8_t)fault;
	if (fault == PLAN_REFUSED || says_no(fault))
		is_there(p, w, out);
	if (step->what == PLAN_ASK)
		question_failed(p, c, step, fault, out);
	else
		notification_failed(p, c, step, fault, out);
}

void plan_fault_text(enum plan_fault fault, char *out, size_t room)
{
	static const char *const texts[PLAN_ASK_ANSWER] = {
		[PLAN_SILENT] = "no answer",
		[PLAN_NO_ADDRESS] = "the name cannot be resolved",
		[PLAN_NO_FAMILY] = "no socket here for its kind of address",
		[PLAN_UNREACHABLE] = "unreachable",
		[PLAN_REFUSED] = "nobody listens there",
		[PLAN_NOT_REGISTERED] = "its rpcbind knows of no status monitor",
		[PLAN_BAD_REPLY] = "its replies make no sense",
		[PLAN_CUT] = "its connections break off",
	};

	if (fault < PLAN_ASK_ANSWER)
		snprintf(out, room, "%s", texts[fault]);
	else if (fault < PLAN_TELL_ANSWER)
		snprintf(out, room, "its rpcbind says: %s",
			rpc_answer_text((enum rpc_answer)(fault - PLAN_ASK_ANSWER)));
	else
		snprintf(out, room, "its status monitor says: %s",
			rpc_answer_text((enum rpc_answer)(fault - PLAN_TELL_ANSWER)));
}
