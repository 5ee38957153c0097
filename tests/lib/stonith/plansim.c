/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PDUs' side. A request acts in the middle of its latency and ends at the end of it; a dead PDU
 * lets it run into its timeout. Only what a profile's patterns and values say is understood.
 */
#include "plansim.h"

#include "check.h"
#include "planjudge.h"
#include "util.h"

#include <stdio.h>
#include <string.h>

static void log_step(struct plansim *s, const struct fence_step *step)
{
	static const char *const names[] = {"id", "cancel", "off", "on", "read"};
	bool numbered = step->op != FENCE_IDENTIFY && step->op != FENCE_READ_ALL;
	size_t room = sizeof(s->log) - s->log_len;
	int n;

	if (numbered)
		n = snprintf(s->log + s->log_len, room, "%u:%s%u ", step->lane, names[step->op],
			step->outlet);
	else
		n = snprintf(s->log + s->log_len, room, "%u:%s ", step->lane, names[step->op]);
	if (n > 0 && (size_t)n < room)
		s->log_len += (size_t)n;
}

static struct oid system_of(const struct profile *p)
{
	struct oid o;
	char text[OID_TEXT_MAX];

	snprintf(text, sizeof(text), "%s", p->systems[0]);
	text[strcspn(text, "*")] = '\0';
	if (text[strlen(text) - 1] == '.')
		text[strlen(text) - 1] = '\0';
	CHECK(oid_parse(text, &o));
	return o;
}

/* Outlets 1, 1.1 or 1.1.1 and following. */
static void add_outlets(struct plansim *s, unsigned count)
{
	const struct profile *p = s->pdus[s->pdu_count].profile;

	for (unsigned i = 0; i < count; i++) {
		struct plansim_outlet *o = &s->outlets[s->outlet_count++];

		CHECK(s->outlet_count <= FENCE_OUTLETS_MAX);
		o->pdu = (uint8_t)s->pdu_count;
		o->on = true;
		o->key = (struct oid_key){p->key_parts, {1, 1, 1}};
		o->key.part[p->key_parts - 1] = i + 1;
	}
}

void plansim_init(struct plansim *s, const char *profiles, unsigned outlets_each)
{
	char names[256];
	char *at = NULL;

	memset(s, 0, sizeof(*s));
	s->now = 1000;
	snprintf(names, sizeof(names), "%s", profiles);
	for (char *n = strtok_r(names, " ", &at); n; n = strtok_r(NULL, " ", &at)) {
		struct plansim_pdu *p = &s->pdus[s->pdu_count];

		p->profile = profile_find(n);
		CHECK(p->profile);
		p->latency = 2;
		p->system = system_of(p->profile);
		add_outlets(s, outlets_each);
		s->pdu_count++;
	}
}

void plansim_begin(struct plansim *s, enum fence_goal goal, uint64_t deadline, uint64_t dwell)
{
	struct fence_times times = {.deadline = s->now + deadline, .dwell = dwell, .on_pause = 500};
	uint8_t lanes[FENCE_OUTLETS_MAX];
	bool cancels[FENCE_OUTLETS_MAX];

	for (size_t i = 0; i < s->outlet_count; i++) {
		lanes[i] = s->outlets[i].pdu;
		cancels[i] = profile_has_cancel(s->pdus[lanes[i]].profile);
	}
	fence_init(&s->plan, goal, &times, lanes, cancels, s->outlet_count);
	s->due = s->now;
}

/* Objects. */

static bool is_object(const char *pattern, const struct oid_key *k, const struct oid *o)
{
	struct oid own;

	return pattern && oid_fill(pattern, k, &own) && oid_equal(&own, o);
}

static struct profile_reading integer(int32_t value)
{
	return (struct profile_reading){.kind = PROFILE_INTEGER, .value = value};
}

/* An object that says whether C holds. */
static struct profile_reading checked(const struct profile_check *c, bool good)
{
	struct profile_reading r = {.kind = PROFILE_BITS, .bits_len = 1};

	if (!c->bit)
		return integer(good ? c->value : 77);
	r.bits[0] = (uint8_t)(good ? 0xff : 0xff & ~(0x80U >> c->value));
	return r;
}

struct profile_reading plansim_get(const struct plansim *s, size_t outlet, const struct oid *o)
{
	const struct plansim_outlet *out = &s->outlets[outlet];
	const struct profile *p = s->pdus[out->pdu].profile;

	if (is_object(p->state, &out->key, o))
		return out->odd ? out->odd_as : integer(out->on ? p->state_on : p->state_off);
	for (size_t i = 0; i < PROFILE_IDLE && p->idle[i].oid; i++) {
		if (is_object(p->idle[i].oid, &out->key, o))
			return checked(&p->idle[i], out->later == 0);
	}
	for (size_t i = 0; i < PROFILE_USABLE && p->usable[i].oid; i++) {
		if (is_object(p->usable[i].oid, &out->key, o))
			return checked(&p->usable[i], true);
	}
	return (struct profile_reading){.kind = PROFILE_MISSING};
}

static void command(struct plansim *s, struct plansim_outlet *o, bool on)
{
	*(on ? &o->ons : &o->offs) += 1;
	if (o->stuck)
		return;
	if (o->slow == 0) {
		o->on = on;
	} else {
		o->moves_at = s->now + o->slow;
		o->moves_on = on;
	}
}

/* What the PDU makes of a SET of one object. */
static enum fence_fault set(struct plansim *s, uint8_t pdu, const struct oid *o, int32_t value)
{
	const struct profile *p = s->pdus[pdu].profile;

	for (size_t i = 0; i < s->outlet_count; i++) {
		struct plansim_outlet *out = &s->outlets[i];
		bool off = is_object(p->off.oid, &out->key, o) && value == p->off.value;
		bool on = is_object(p->on.oid, &out->key, o) && value == p->on.value;

		if (out->pdu != pdu || !(off || on))
			continue;
		if (out->set_fault == FENCE_NO_FAULT)
			command(s, out, on);
		return out->set_fault;
	}
	return FENCE_REFUSED;
}

static enum fence_fault cancel(struct plansim *s, uint8_t pdu, const struct oid *o, int32_t value)
{
	const struct profile *p = s->pdus[pdu].profile;

	for (size_t i = 0; i < s->outlet_count; i++) {
		struct plansim_outlet *out = &s->outlets[i];

		if (out->pdu != pdu || !is_object(p->cancel[0].oid, &out->key, o) ||
			value != p->cancel[0].value)
			continue;
		if (out->cancel_fault == FENCE_NO_FAULT) {
			out->later = 0;
			out->cancels++;
		}
		return out->cancel_fault;
	}
	return FENCE_REFUSED;
}

/* Requests. */

static const struct oid_key *key_of(const struct plansim *s, const struct plansim_pdu *p)
{
	return &s->outlets[p->step.outlet].key;
}

static enum fence_fault act_cancel(struct plansim *s, struct plansim_pdu *p)
{
	struct oid oids[PROFILE_CANCELS];
	int32_t values[PROFILE_CANCELS];

	CHECK(profile_cancels(p->profile, key_of(s, p), oids, values) > 0);
	return cancel(s, p->step.lane, &oids[0], values[0]);
}

static enum fence_fault act_switch(struct plansim *s, struct plansim_pdu *p)
{
	struct oid o;
	int32_t value;

	CHECK(profile_switch(p->profile, key_of(s, p), p->step.op == FENCE_SET_ON, &o, &value));
	return set(s, p->step.lane, &o, value);
}

static enum fence_fault act_read(struct plansim *s, struct plansim_pdu *p)
{
	size_t n = 0;

	for (size_t i = 0; i < s->outlet_count; i++) {
		struct oid oids[PROFILE_READS];
		size_t count;

		if (s->outlets[i].pdu != p->step.lane)
			continue;
		count = profile_reads(p->profile, &s->outlets[i].key, oids);
		for (size_t k = 0; k < count; k++)
			p->read[n][k] = plansim_get(s, i, &oids[k]);
		n++;
	}
	return p->get_fault;
}

static void act(struct plansim *s, struct plansim_pdu *p)
{
	p->acts = UINT64_MAX;
	if (s->now >= p->dead_from && s->now < p->dead_until) {
		p->outcome = p->dead_as == FENCE_NO_FAULT ? FENCE_SILENT : p->dead_as;
		p->ends = MAX_OF(p->ends, p->began + PLANSIM_TIMEOUT);
	} else if (p->step.op == FENCE_CANCEL) {
		p->outcome = act_cancel(s, p);
	} else if (p->step.op == FENCE_READ_ALL) {
		p->outcome = act_read(s, p);
	} else if (p->step.op != FENCE_IDENTIFY) {
		p->outcome = act_switch(s, p);
	}
}

static void begin(struct plansim *s, const struct fence_step *step)
{
	struct plansim_pdu *p = &s->pdus[step->lane];

	p->step = *step;
	p->began = s->now;
	p->acts = s->now + p->latency / 2;
	p->ends = s->now + p->latency;
	p->outcome = FENCE_NO_FAULT;
	log_step(s, step);
}

static void begin_all(struct plansim *s)
{
	planjudge_steps(s);
	for (size_t i = 0; i < s->steps.count; i++)
		begin(s, &s->steps.step[i]);
	s->due = s->steps.due;
	planjudge_verdict(s);
}

static void end_read(struct plansim *s, struct plansim_pdu *p, const struct fence_step *step)
{
	enum outlet_state states[FENCE_OUTLETS_MAX];
	int32_t values[FENCE_OUTLETS_MAX];
	struct oid oids[PROFILE_READS];
	size_t n = 0;

	for (size_t i = 0; i < s->outlet_count; i++) {
		size_t count;

		if (s->outlets[i].pdu != step->lane)
			continue;
		count = profile_reads(p->profile, &s->outlets[i].key, oids);
		states[n] = profile_judge(p->profile, p->read[n], count, &values[n]);
		planjudge_read(s, &s->outlets[i], states[n], p->began);
		n++;
	}
	fence_read(&s->plan, step->lane, step->id, states, values, n, s->now, &s->steps);
}

static void end(struct plansim *s, struct plansim_pdu *p)
{
	struct fence_step step = p->step;

	p->step.id = 0;
	planjudge_end(s, &step, p->outcome);
	if (p->outcome != FENCE_NO_FAULT)
		fence_failed(&s->plan, step.lane, step.id, p->outcome, s->now, &s->steps);
	else if (step.op == FENCE_IDENTIFY)
		fence_identified(&s->plan, step.lane, step.id,
			profile_has_system(p->profile, &p->system), s->now, &s->steps);
	else if (step.op == FENCE_READ_ALL)
		end_read(s, p, &step);
	else
		fence_done(&s->plan, step.lane, step.id, s->now, &s->steps);
	begin_all(s);
}

/* Time. */

static void move_relays(struct plansim *s)
{
	for (size_t i = 0; i < s->outlet_count; i++) {
		struct plansim_outlet *o = &s->outlets[i];

		if (o->moves_at != 0 && s->now >= o->moves_at) {
			o->on = o->moves_on;
			o->moves_at = 0;
		}
		if (o->later != 0 && s->now >= o->later) {
			o->on = o->later_on;
			o->later = 0;
		}
	}
}

static uint64_t next_moment(const struct plansim *s)
{
	uint64_t at = s->due;

	for (size_t i = 0; i < s->pdu_count; i++) {
		const struct plansim_pdu *p = &s->pdus[i];

		if (p->step.id != 0)
			at = MIN_OF(at, MIN_OF(p->acts, p->ends));
	}
	for (size_t i = 0; i < s->outlet_count; i++) {
		const struct plansim_outlet *o = &s->outlets[i];

		at = o->moves_at ? MIN_OF(at, o->moves_at) : at;
		at = o->later ? MIN_OF(at, o->later) : at;
	}
	return MAX_OF(at, s->now);
}

/* One thing that is due. */
static void turn(struct plansim *s)
{
	move_relays(s);
	if (s->meddle)
		s->meddle(s);
	for (size_t i = 0; i < s->pdu_count; i++) {
		struct plansim_pdu *p = &s->pdus[i];

		if (p->step.id != 0 && s->now >= p->acts) {
			act(s, p);
			return;
		}
		if (p->step.id != 0 && p->acts == UINT64_MAX && s->now >= p->ends) {
			end(s, p);
			return;
		}
	}
	if (s->now < s->due)
		return;
	fence_tick(&s->plan, s->now, &s->steps);
	begin_all(s);
}

void plansim_run_until(struct plansim *s, uint64_t time)
{
	for (unsigned turns = 0; s->plan.verdict == FENCE_WORKING; turns++) {
		uint64_t at = next_moment(s);

		CHECK(turns < 2000000);
		if (at > time)
			break;
		s->now = at;
		turn(s);
	}
	if (s->plan.verdict == FENCE_WORKING)
		s->now = MAX_OF(s->now, time);
}

void plansim_run(struct plansim *s)
{
	plansim_run_until(s, UINT64_MAX);
	CHECK(s->plan.verdict != FENCE_WORKING);
	CHECK(s->now <= s->plan.times.deadline);
}

unsigned plansim_count(const struct plansim *s, const char *word)
{
	unsigned n = 0;

	for (const char *p = s->log; (p = strstr(p, word)); p += strlen(word))
		n++;
	return n;
}
