/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One round on one PDU: hello (its sysObjectID: does it answer, and how fast), then the outlets of
 * each node there by a plan of goal TEST, then what outlets are called. All by one lane, one after
 * the other. A PDU that a shot needs is left to it at once, whichever of its nodes is the victim:
 * there are slow ones. A PDU that does not answer is not asked for more, and keeps nobody but
 * itself waiting.
 */
#include "watch_inner.h"

#include "clock.h"
#include "lease.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	HELLO_TRIES = 3,
	HELLO_GAP_MS = 200,
	ASIDE_MS = 2000, /* for a shot, then it is looked again */
	NS_PER_US = 1000,
};

static void next_part(struct watch_pdu *p);
static void next_name(struct watch_pdu *p);
static void on_reply(void *arg, const struct lane_reply *reply);

static const struct config_pdu *config_of(const struct watch_pdu *p)
{
	return &p->watch->config->pdus[p->index];
}

/* The outlets of the part at hand. */
static struct watch_judge_outlet *outlets_of(const struct watch_pdu *p)
{
	return &p->watch->outlets[p->parts[p->part].first];
}

static void finish(struct watch_pdu *p)
{
	p->step = WATCH_IDLE;
	p->up = p->facts.fault == FENCE_NO_FAULT;
	p->finished++;
	p->finished_at = clock_ms();
	watch_pdu_finished(p);
	if (p->again)
		watch_pdu_begin(p, false);
}

/* Of a PDU that cannot be asked nothing is known. */
static void give_up(struct watch_pdu *p, enum fence_fault fault, const char *why)
{
	p->facts.fault = fault;
	snprintf(p->facts.why, sizeof(p->facts.why), "%s", why);
	for (size_t i = 0; i < p->part_count; i++) {
		for (size_t k = 0; k < p->parts[i].node.outlet_count; k++)
			p->watch->outlets[p->parts[i].first + k].tested = false;
	}
	finish(p);
}

/* Hello. */

static void hello(struct watch_pdu *p)
{
	struct lane_request *q = &p->watch->request;

	lane_listen(p->lane, on_reply, p);
	q->kind = LANE_GET;
	q->id = ++p->tries;
	q->count = q->group = 1;
	oid_parse(PROFILE_SYSOBJECTID, &q->oids[0]);
	p->asked = clock_ns();
	if (lane_send(p->lane, q) < 0)
		give_up(p, FENCE_BROKEN, "no helper process could be started");
}

static void hello_answered(struct watch_pdu *p, const struct lane_reply *reply)
{
	if (reply->fault == FENCE_NO_FAULT) {
		p->rtt_us = MAX_OF((clock_ns() - p->asked) / NS_PER_US, (uint64_t)1);
		p->step = WATCH_TESTING;
		next_part(p);
	} else if (p->tries < HELLO_TRIES) {
		reactor_timer_set(p->watch->reactor, &p->retry, HELLO_GAP_MS);
	} else {
		give_up(p, reply->fault, reply->why);
	}
}

/* Tests. */

static void take_outlet(
	struct watch_pdu *p, struct watch_judge_outlet *o, const struct drive *d, size_t i)
{
	const struct fence_outlet *from = &drive_fence(d)->outlets[i];

	o->tested = from->last != OUTLET_UNKNOWN;
	o->state = from->last;
	o->value = from->last_value;
	o->fault = from->fault;
	snprintf(
		o->why, sizeof(o->why), "%s", from->fault == FENCE_NO_FAULT ? "" : drive_why(d, i));
	p->facts.writes = p->facts.writes || (from->has_cancel && from->cancelled);
	p->facts.read_only = p->facts.read_only || from->fault == FENCE_READ_ONLY;
}

/* Has the PDU itself stopped the test? One that answers what is asked, but not what is told, is
 * found at its outlets. */
static bool is_lost(const struct fence *f)
{
	const struct fence_lane *l = &f->lanes[0];

	if (f->lane_count == 0 || l->phase == FENCE_FAILED)
		return true;
	for (size_t i = 0; i < f->outlet_count; i++) {
		if (f->outlets[i].fault != FENCE_NO_FAULT)
			return false;
	}
	return l->phase != FENCE_ARRIVED;
}

static void on_tested(void *arg)
{
	struct watch_pdu *p = arg;
	struct watch_part *part = &p->parts[p->part];
	const struct fence *f = drive_fence(part->drive);

	if (is_lost(f)) {
		enum fence_fault fault = f->lanes[0].fault;

		/* At the deadline the first answer may still be awaited. */
		give_up(p, fault == FENCE_NO_FAULT ? FENCE_SILENT : fault,
			drive_why(part->drive, 0));
		return;
	}
	for (size_t i = 0; i < part->node.outlet_count; i++)
		take_outlet(p, &outlets_of(p)[i], part->drive, i);
	p->part++;
	next_part(p);
}

static void next_part(struct watch_pdu *p)
{
	struct watch_part *part = &p->parts[p->part];
	const struct fence_times times = {.deadline = clock_ms() + part->node.deadline * 1000};

	if (p->part < p->part_count) {
		drive_start(part->drive, FENCE_TEST, &times, on_tested, p);
		return;
	}
	p->step = WATCH_NAMING;
	p->part = p->outlet = 0;
	lane_listen(p->lane, on_reply, p);
	next_name(p);
}

/* Names. */

/* Asks for the name of the outlet at hand, if it should have one. */
static bool ask_name(struct watch_pdu *p)
{
	const struct config_outlet *o = &p->parts[p->part].node.outlets[p->outlet];
	const char *pattern = config_of(p)->profile->outlet_name;
	struct lane_request *q = &p->watch->request;

	if (!o->name || !pattern)
		return false;
	q->kind = LANE_GET;
	q->id = (uint32_t)p->outlet;
	q->count = q->group = 1;
	return oid_fill(pattern, &o->key, &q->oids[0]) && lane_send(p->lane, q) == 0;
}

/* Names are the last and the least: one that is not to be had is asked for in the next round. */
static void next_name(struct watch_pdu *p)
{
	for (; p->part < p->part_count; p->part++, p->outlet = 0) {
		for (; p->outlet < p->parts[p->part].node.outlet_count; p->outlet++) {
			if (ask_name(p))
				return;
		}
	}
	finish(p);
}

static void named(struct watch_pdu *p, const struct lane_reply *reply)
{
	struct watch_judge_outlet *o = &outlets_of(p)[p->outlet];

	o->has_name = reply->fault == FENCE_NO_FAULT && reply->readings[0].kind == PROFILE_BITS;
	if (o->has_name)
		snprintf(o->name, sizeof(o->name), "%.*s", SURVEY_NAME_MAX - 1, reply->text);
	if (reply->fault == FENCE_SILENT) {
		finish(p);
		return;
	}
	p->outlet++;
	next_name(p);
}

static void on_reply(void *arg, const struct lane_reply *reply)
{
	struct watch_pdu *p = arg;

	if (p->step == WATCH_HELLO)
		hello_answered(p, reply);
	else if (p->step == WATCH_NAMING)
		named(p, reply);
}

/* Shots. */

/* What was found stays; the PDU is the shot's. */
static void step_aside(struct watch_pdu *p)
{
	if (p->step == WATCH_TESTING)
		drive_stop(p->parts[p->part].drive);
	lane_abandon(p->lane);
	p->step = WATCH_IDLE;
	p->skipped++;
	reactor_timer_set(p->watch->reactor, &p->retry, ASIDE_MS);
}

void watch_pdu_yield(struct watch_pdu *p, const struct config_node *node)
{
	for (size_t i = 0; i < p->part_count && p->step != WATCH_IDLE; i++) {
		if (p->parts[i].whole == node)
			step_aside(p);
	}
}

static bool is_needed_for_shot(const struct watch_pdu *p)
{
	const char *dir = p->watch->config->general.run_directory;

	for (size_t i = 0; i < p->part_count; i++) {
		if (lease_is_locked(dir, p->parts[i].whole->name))
			return true;
	}
	return false;
}

/* The PDU. */

static void start(struct watch_pdu *p)
{
	reactor_timer_cancel(p->watch->reactor, &p->retry);
	p->again = false;
	p->step = WATCH_HELLO;
	p->part = p->outlet = 0;
	p->tries = 0;
	p->facts = (struct watch_judge_pdu){.config = config_of(p)};
	hello(p);
}

void watch_pdu_begin(struct watch_pdu *p, bool again)
{
	if (p->step != WATCH_IDLE)
		p->again = p->again || again;
	else if (is_needed_for_shot(p))
		step_aside(p);
	else
		start(p);
}

static void on_retry(struct reactor_timer *t)
{
	struct watch_pdu *p = container_of(t, struct watch_pdu, retry);

	if (p->step == WATCH_HELLO)
		hello(p);
	else
		watch_pdu_begin(p, false);
}

static int add_part(
	struct watch_pdu *p, const struct config_node *n, size_t from, size_t count, size_t first)
{
	struct watch_part *part = &p->parts[p->part_count++];

	part->node = *n;
	part->node.outlets += from;
	part->node.outlet_count = count;
	part->whole = n;
	part->first = first + from;
	part->drive = drive_new_on(p->watch->reactor, &part->node, p->lane);
	return part->drive ? 0 : -ENOMEM;
}

/* Outlets of a node on one PDU are side by side. */
static int add_node(struct watch_pdu *p, const struct config_node *n, size_t first)
{
	size_t from = 0, end;

	while (from < n->outlet_count && n->outlets[from].pdu != config_of(p))
		from++;
	for (end = from; end < n->outlet_count && n->outlets[end].pdu == config_of(p);)
		end++;
	return from == end ? 0 : add_part(p, n, from, end - from, first);
}

int watch_pdu_init(struct watch_pdu *p, struct watch *w, size_t index)
{
	const struct config *c = w->config;
	int ret = 0;

	*p = (struct watch_pdu){.watch = w, .index = index, .retry.fn = on_retry};
	p->facts.config = config_of(p);
	p->parts = calloc(c->node_count + 1, sizeof(*p->parts));
	p->lane = lane_new(w->reactor, config_of(p), on_reply, p);
	if (!p->parts || !p->lane)
		return -ENOMEM;
	for (size_t i = 0; i < c->node_count && ret == 0; i++)
		ret = add_node(p, &c->nodes[i], w->first[i]);
	return ret;
}

void watch_pdu_done(struct watch_pdu *p)
{
	if (!p->watch)
		return;
	reactor_timer_cancel(p->watch->reactor, &p->retry);
	for (size_t i = 0; i < p->part_count; i++)
		drive_free(p->parts[i].drive);
	lane_free(p->lane);
	free(p->parts);
}
