/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names and watts of a node's outlets: PDUs side by side, the outlets of each one after the other.
 * A PDU that does not answer is asked once; of the rest of its outlets the same is said.
 */
#include "survey.h"

#include "lane.h"
#include "util.h"

#include <stdio.h>
#include <string.h>

struct survey_lane {
	struct survey *survey;
	struct lane *lane;
	const struct config_pdu *pdu;
	size_t next, end; /* outlets: the one that is asked about, and one past the last */
};

struct survey {
	struct reactor *reactor;
	const struct config_node *node;
	struct survey_outlet outlets[FENCE_OUTLETS_MAX];
	struct survey_lane lanes[FENCE_LANES_MAX];
	size_t lane_count, unfinished;
	struct reactor_task begin, finish;
	void (*done)(void *arg);
	void *arg;
	struct lane_request request; /* here, as it is large */
};

static bool add_object(struct lane_request *q, const char *pattern, const struct oid_key *key)
{
	if (!pattern || !oid_fill(pattern, key, &q->oids[q->count]))
		return false;
	q->count++;
	return true;
}

static bool ask(struct survey_lane *l)
{
	struct lane_request *q = &l->survey->request;
	const struct profile *p = l->pdu->profile;
	const struct oid_key *key = &l->survey->node->outlets[l->next].key;

	q->kind = LANE_GET;
	q->id++;
	q->count = 0;
	q->group = 1;
	l->survey->outlets[l->next].asked = add_object(q, p->outlet_name, key);
	add_object(q, p->watts, key);
	return q->count == 0 || lane_send(l->lane, q) == 0;
}

static bool needs_no_answer(const struct survey_lane *l)
{
	return !l->pdu->profile->outlet_name && !l->pdu->profile->watts;
}

static void lane_finished(struct survey_lane *l)
{
	struct survey *s = l->survey;

	l->next = l->end;
	if (--s->unfinished == 0)
		reactor_defer(s->reactor, &s->finish);
}

static void give_up(struct survey_lane *l, const char *why)
{
	struct survey *s = l->survey;

	for (; l->next < l->end; l->next++) {
		struct survey_outlet *o = &s->outlets[l->next];

		o->asked = l->pdu->profile->outlet_name;
		snprintf(o->why, sizeof(o->why), "%s", why);
	}
	lane_finished(l);
}

static void go_on(struct survey_lane *l)
{
	if (l->next == l->end || needs_no_answer(l))
		lane_finished(l);
	else if (!ask(l))
		give_up(l, "no helper process could be started");
}

static void take(struct survey_outlet *o, const struct lane_reply *reply)
{
	const struct profile_reading *r = reply->readings, *watts = &r[o->asked ? 1 : 0];

	if (o->asked && r->kind == PROFILE_BITS) {
		o->has_name = true;
		snprintf(o->name, sizeof(o->name), "%.*s", SURVEY_NAME_MAX - 1, reply->text);
	} else if (o->asked) {
		snprintf(o->why, sizeof(o->why), "the PDU has no name for it");
	}
	if (reply->count <= (o->asked ? 1U : 0U))
		return;
	/* Gauge32 in most MIBs */
	o->has_watts = watts->kind == PROFILE_INTEGER || watts->kind == PROFILE_OTHER;
	o->watts = watts->value;
}

static void on_reply(void *arg, const struct lane_reply *reply)
{
	struct survey_lane *l = arg;

	if (reply->fault != FENCE_NO_FAULT) {
		give_up(l, fence_fault_text(reply->fault));
		return;
	}
	take(&l->survey->outlets[l->next++], reply);
	go_on(l);
}

static void on_begin(struct reactor_task *t)
{
	struct survey *s = container_of(t, struct survey, begin);

	for (size_t i = 0; i < s->lane_count; i++)
		go_on(&s->lanes[i]);
}

static void on_finish(struct reactor_task *t)
{
	struct survey *s = container_of(t, struct survey, finish);

	s->done(s->arg);
}

static bool add_lanes(struct survey *s)
{
	const struct config_node *n = s->node;

	for (size_t i = 0; i < n->outlet_count; i++) {
		struct survey_lane *l = &s->lanes[s->lane_count];

		if (i > 0 && n->outlets[i].pdu == n->outlets[i - 1].pdu) {
			l[-1].end++;
			continue;
		}
		*l = (struct survey_lane){
			.survey = s, .pdu = n->outlets[i].pdu, .next = i, .end = i + 1};
		l->lane = lane_new(s->reactor, l->pdu, on_reply, l);
		if (!l->lane)
			return false;
		s->lane_count++;
	}
	s->unfinished = s->lane_count;
	return true;
}

struct survey *survey_new(
	struct reactor *r, const struct config_node *node, void (*done)(void *arg), void *arg)
{
	struct survey *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->reactor = r;
	s->node = node;
	s->done = done;
	s->arg = arg;
	s->begin.fn = on_begin;
	s->finish.fn = on_finish;
	if (!add_lanes(s)) {
		survey_free(s);
		return NULL;
	}
	reactor_defer(r, s->lane_count ? &s->begin : &s->finish);
	return s;
}

void survey_free(struct survey *s)
{
	if (!s)
		return;
	reactor_undefer(s->reactor, &s->begin);
	reactor_undefer(s->reactor, &s->finish);
	for (size_t i = 0; i < s->lane_count; i++)
		lane_free(s->lanes[i].lane);
	free(s);
}

const struct survey_outlet *survey_outlet(const struct survey *s, size_t outlet)
{
	return &s->outlets[outlet];
}

bool survey_differs(const struct config_outlet *o, const struct survey_outlet *found)
{
	return o->name && found->has_name && strcmp(o->name, found->name) != 0;
}
