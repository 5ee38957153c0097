/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between plan and lanes. Outlets of one PDU are a lane of the plan, and side by side. Reading all
 * of a lane may take several requests, cut between outlets; the plan hears of it when all are
 * there.
 */
#include "drive.h"

#include "clock.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct drive_lane {
	struct drive *drive;
	struct lane *lane;
	const struct config_pdu *pdu;
	uint8_t index;
	size_t first, count; /* outlets of the node */
	/* The step under way. */
	uint32_t step;
	enum fence_op op;
	uint8_t outlet;
	size_t asked, answered; /* READ_ALL: of its outlets */
	enum outlet_state states[FENCE_OUTLETS_MAX];
	int32_t values[FENCE_OUTLETS_MAX];
	char why[LANE_WHY_MAX];
};

struct drive {
	struct reactor *reactor;
	const struct config_node *node;
	struct fence fence;
	struct drive_lane lanes[FENCE_LANES_MAX];
	size_t lane_count;
	uint8_t lane_of[FENCE_OUTLETS_MAX];
	bool has_cancel[FENCE_OUTLETS_MAX];
	char set_why[FENCE_OUTLETS_MAX][LANE_WHY_MAX]; /* of outlets: why it could not be set */
	struct reactor_timer timer;
	struct reactor_task finish;
	void (*done)(void *arg);
	void *arg;
	bool running;
	bool borrowed; /* the lane is somebody else's, too */
	uint32_t requests;
	struct lane_request request; /* here, as it is large */
};

static void carry_out(struct drive *d, const struct fence_steps *steps);

static void fill_read(struct drive_lane *l, struct lane_request *q)
{
	const struct config_outlet *outlets = &l->drive->node->outlets[l->first];

	q->kind = LANE_GET;
	while (l->asked < l->count && q->count + PROFILE_READS <= LANE_OBJECTS_MAX) {
		q->group = profile_reads(
			l->pdu->profile, &outlets[l->asked++].key, &q->oids[q->count]);
		q->count += q->group;
	}
}

/* What the step at hand asks for next. */
static void fill_request(struct drive_lane *l, struct lane_request *q)
{
	const struct profile *p = l->pdu->profile;
	const struct oid_key *key = &l->drive->node->outlets[l->outlet].key;

	q->kind = LANE_SET;
	q->id = ++l->drive->requests;
	q->count = 1;
	q->group = 0;
	switch (l->op) {
	case FENCE_IDENTIFY:
		q->kind = LANE_GET;
		oid_parse(PROFILE_SYSOBJECTID, &q->oids[0]);
		break;
	case FENCE_CANCEL:
		q->count = profile_cancels(p, key, q->oids, q->values);
		break;
	case FENCE_SET_OFF:
	case FENCE_SET_ON:
		profile_switch(p, key, l->op == FENCE_SET_ON, &q->oids[0], &q->values[0]);
		break;
	case FENCE_READ_ALL:
		q->count = 0;
		fill_read(l, q);
		break;
	}
}

static void after(struct drive *d, const struct fence_steps *out)
{
	uint64_t now = clock_ms();

	if (!d->running)
		return;
	if (d->fence.verdict != FENCE_WORKING) {
		reactor_timer_cancel(d->reactor, &d->timer);
		d->running = false;
		reactor_defer(d->reactor, &d->finish);
		return;
	}
	if (out->due != FENCE_NEVER)
		reactor_timer_set(d->reactor, &d->timer, out->due > now ? out->due - now : 0);
	carry_out(d, out);
}

static bool is_about_outlet(enum fence_op op)
{
	return op == FENCE_CANCEL || op == FENCE_SET_OFF || op == FENCE_SET_ON;
}

static void fail(struct drive_lane *l, enum fence_fault fault, const char *why)
{
	struct fence_steps out;

	snprintf(l->why, sizeof(l->why), "%s", why);
	if (is_about_outlet(l->op))
		snprintf(l->drive->set_why[l->outlet], LANE_WHY_MAX, "%s", why);
	fence_failed(&l->drive->fence, l->index, l->step, fault, clock_ms(), &out);
	after(l->drive, &out);
}

static bool ask(struct drive_lane *l)
{
	fill_request(l, &l->drive->request);
	return lane_send(l->lane, &l->drive->request) == 0;
}

static void carry_out(struct drive *d, const struct fence_steps *steps)
{
	bool failed[FENCE_LANES_MAX] = {false};

	for (size_t i = 0; i < steps->count; i++) {
		struct drive_lane *l = &d->lanes[steps->step[i].lane];

		l->step = steps->step[i].id;
		l->op = steps->step[i].op;
		l->outlet = steps->step[i].outlet;
		l->asked = l->answered = 0;
		failed[l->index] = !ask(l);
	}
	for (size_t i = 0; i < d->lane_count; i++) {
		if (failed[i] && d->running)
			fail(&d->lanes[i], FENCE_BROKEN, "no helper process could be started");
	}
}

static void identified(
	struct drive_lane *l, const struct lane_reply *reply, struct fence_steps *out)
{
	const struct profile_reading *r = &reply->readings[0];
	struct oid system;
	bool right = r->kind == PROFILE_OTHER && oid_parse(reply->text, &system) &&
		profile_has_system(l->pdu->profile, &system);

	/* It is asked again: who cannot say what he is may be just starting. */
	if (r->kind == PROFILE_ERROR) {
		snprintf(l->why, sizeof(l->why), "it does not say what it is");
		fence_failed(&l->drive->fence, l->index, l->step, FENCE_REFUSED, clock_ms(), out);
		return;
	}
	if (!right)
		snprintf(l->why, sizeof(l->why), "its sysObjectID is %.80s",
			r->kind == PROFILE_OTHER && reply->text[0] ? reply->text : "none");
	fence_identified(&l->drive->fence, l->index, l->step, right, clock_ms(), out);
}

/* False: more is to be read first. */
static bool take_readings(struct drive_lane *l, const struct lane_reply *reply)
{
	const struct config_outlet *outlets = &l->drive->node->outlets[l->first];
	const struct profile_reading *r = reply->readings;

	for (; l->answered < l->asked; l->answered++) {
		struct oid reads[PROFILE_READS];
		size_t n = profile_reads(l->pdu->profile, &outlets[l->answered].key, reads);

		l->states[l->answered] =
			profile_judge(l->pdu->profile, r, n, &l->values[l->answered]);
		r += n;
	}
	return l->answered == l->count;
}

static void answered(struct drive_lane *l, const struct lane_reply *reply)
{
	struct fence *f = &l->drive->fence;
	struct fence_steps out;

	l->why[0] = 0;
	if (l->op == FENCE_READ_ALL) {
		if (!take_readings(l, reply)) {
			if (!ask(l))
				fail(l, FENCE_BROKEN, "no helper process could be started");
			return;
		}
		fence_read(f, l->index, l->step, l->states, l->values, l->count, clock_ms(), &out);
	} else if (l->op == FENCE_IDENTIFY) {
		identified(l, reply, &out);
	} else {
		fence_done(f, l->index, l->step, clock_ms(), &out);
	}
	after(l->drive, &out);
}

static void on_reply(void *arg, const struct lane_reply *reply)
{
	struct drive_lane *l = arg;

	if (!l->drive->running)
		return;
	if (reply->fault != FENCE_NO_FAULT)
		fail(l, reply->fault, reply->why);
	else
		answered(l, reply);
}

static void on_timer(struct reactor_timer *t)
{
	struct drive *d = container_of(t, struct drive, timer);
	struct fence_steps out;

	fence_tick(&d->fence, clock_ms(), &out);
	after(d, &out);
}

static void on_finish(struct reactor_task *t)
{
	struct drive *d = container_of(t, struct drive, finish);

	d->done(d->arg);
}

static void assign_lanes(struct drive *d)
{
	const struct config_node *n = d->node;

	for (size_t i = 0; i < n->outlet_count; i++) {
		struct drive_lane *l = &d->lanes[d->lane_count];

		if (i == 0 || n->outlets[i].pdu != n->outlets[i - 1].pdu) {
			*l = (struct drive_lane){.drive = d,
				.pdu = n->outlets[i].pdu,
				.index = (uint8_t)d->lane_count++,
				.first = i};
		} else {
			l--;
		}
		l->count++;
		d->lane_of[i] = l->index;
		d->has_cancel[i] = profile_has_cancel(l->pdu->profile);
	}
}

static struct drive *new_without_lanes(struct reactor *r, const struct config_node *node)
{
	struct drive *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->reactor = r;
	d->node = node;
	d->timer.fn = on_timer;
	d->finish.fn = on_finish;
	assign_lanes(d);
	return d;
}

struct drive *drive_new_on(struct reactor *r, const struct config_node *node, struct lane *lane)
{
	struct drive *d = new_without_lanes(r, node);

	if (!d)
		return NULL;
	d->borrowed = true;
	d->lanes[0].lane = lane;
	return d;
}

struct drive *drive_new(struct reactor *r, const struct config_node *node)
{
	struct drive *d = new_without_lanes(r, node);

	if (!d)
		return NULL;
	for (size_t i = 0; i < d->lane_count; i++) {
		d->lanes[i].lane = lane_new(r, d->lanes[i].pdu, on_reply, &d->lanes[i]);
		if (!d->lanes[i].lane) {
			drive_free(d);
			return NULL;
		}
	}
	return d;
}

void drive_free(struct drive *d)
{
	if (!d)
		return;
	reactor_timer_cancel(d->reactor, &d->timer);
	reactor_undefer(d->reactor, &d->finish);
	for (size_t i = 0; i < d->lane_count && !d->borrowed; i++)
		lane_free(d->lanes[i].lane);
	free(d);
}

void drive_stop(struct drive *d)
{
	reactor_timer_cancel(d->reactor, &d->timer);
	reactor_undefer(d->reactor, &d->finish);
	for (size_t i = 0; i < d->lane_count && d->running; i++)
		lane_abandon(d->lanes[i].lane);
	d->running = false;
}

void drive_start(struct drive *d, enum fence_goal goal, const struct fence_times *times,
	void (*done)(void *arg), void *arg)
{
	struct fence_steps out;

	reactor_undefer(d->reactor, &d->finish);
	for (size_t i = 0; i < d->lane_count; i++) {
		lane_abandon(d->lanes[i].lane);
		if (d->borrowed)
			lane_listen(d->lanes[i].lane, on_reply, &d->lanes[i]);
		d->lanes[i].why[0] = 0;
	}
	memset(d->set_why, 0, sizeof(d->set_why));
	d->done = done;
	d->arg = arg;
	d->running = true;
	fence_init(&d->fence, goal, times, d->lane_of, d->has_cancel, d->node->outlet_count);
	fence_tick(&d->fence, clock_ms(), &out);
	after(d, &out);
}

const struct fence *drive_fence(const struct drive *d)
{
	return &d->fence;
}

const char *drive_why(const struct drive *d, size_t outlet)
{
	if (d->fence.outlets[outlet].fault != FENCE_NO_FAULT)
		return d->set_why[outlet];
	return d->lanes[d->lane_of[outlet]].why;
}
