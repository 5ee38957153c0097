/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A shot in words: one line for people, objects for the audit log and --json. A text never says
 * "off" of what was not verified, and names each outlet that is not as it should be.
 */
#include "record.h"

#include "str.h"
#include "util.h"

#include <stdio.h>
#include <string.h>

static bool is_fine(const struct fence *f, const struct fence_outlet *o)
{
	if (f->goal == FENCE_READ || f->goal == FENCE_TEST)
		return o->last == OUTLET_OFF || o->last == OUTLET_ON;
	return o->last == (f->turning_on ? OUTLET_ON : OUTLET_OFF);
}

static enum fence_fault fault_of(const struct fence *f, const struct fence_outlet *o)
{
	return o->fault != FENCE_NO_FAULT ? o->fault : f->lanes[o->lane].fault;
}

bool record_trouble(const struct shoot_result *r, size_t outlet, char *ret, size_t room)
{
	const struct fence_outlet *o = &r->fence.outlets[outlet];
	enum fence_fault fault = fault_of(&r->fence, o);
	const char *why = r->why[outlet], *state = profile_state_text(o->last);
	const char *fault_text = fence_fault_text(fault);

	/* SNMPv1 has one answer for both: no such object, and no right to write it. */
	if (fault == FENCE_READ_ONLY && o->last == OUTLET_MISSING)
		fault = FENCE_NO_FAULT;
	if (fault != FENCE_NO_FAULT) {
		bool more = why[0] && strcmp(why, fault_text) != 0;
		bool read = o->last != OUTLET_UNKNOWN;

		snprintf(ret, room, "%s%s%s%s%s%s", fault_text, more ? ": " : "", more ? why : "",
			read ? " (" : "", read ? state : "", read ? " when last read)" : "");
		return true;
	}
	if (o->last == OUTLET_ODD)
		snprintf(ret, room, "reads %d, %s", o->last_value, state);
	else
		snprintf(ret, room, "%s", state);
	return !is_fine(&r->fence, o);
}

/* ", " in front but for the first. Cut where there is no more room. */
static void add(char *text, size_t room, const char *name, const char *what)
{
	size_t len = strlen(text);

	snprintf(text + len, room - len, "%s%s%s%s", len ? ", " : "", name, what[0] ? ": " : "",
		what);
}

static void list_troubles(const struct shoot_result *r, char *ret, size_t room)
{
	ret[0] = 0;
	for (size_t i = 0; i < r->fence.outlet_count; i++) {
		char trouble[160];

		if (record_trouble(r, i, trouble, sizeof(trouble)))
			add(ret, room, r->names[i], trouble);
	}
	if (!ret[0])
		snprintf(ret, room, "the time was up before it was certain");
}

static void list_states(const struct shoot_result *r, char *ret, size_t room)
{
	ret[0] = 0;
	for (size_t i = 0; i < r->fence.outlet_count; i++)
		add(ret, room, r->names[i], profile_state_text(r->fence.outlets[i].last));
}

static const char *power_text(enum fence_power power)
{
	return power == FENCE_POWER_OFF ? "off" : power == FENCE_POWER_ON ? "on" : "not known";
}

static void text_of_success(const char *name, const struct shoot_result *r, char *ret, size_t room)
{
	const struct fence *f = &r->fence;
	char list[384];

	if (f->goal == FENCE_CYCLE && f->on_failed) {
		list_troubles(r, list, sizeof(list));
		snprintf(
			ret, room, "%s was off, but is not certain to be on again: %s", name, list);
		return;
	}
	list_states(r, list, sizeof(list));
	if (f->goal == FENCE_CYCLE)
		snprintf(ret, room, "%s was off, and is on again (%s)", name, list);
	else if (f->goal == FENCE_TEST)
		snprintf(ret, room, "%s could be switched (%s)", name, list);
	else if (f->goal == FENCE_READ)
		snprintf(ret, room, "%s is %s (%s)", name, power_text(fence_power(f)), list);
	else
		snprintf(
			ret, room, "%s is %s (%s)", name, f->goal == FENCE_ON ? "on" : "off", list);
}

static void text_of_failure(const char *name, const struct shoot_result *r, char *ret, size_t room)
{
	static const char *const what[] = {[FENCE_OFF] = "it is not certain that it is off",
		[FENCE_CYCLE] = "it is not certain that it is off",
		[FENCE_ON] = "it is not certain that it is on",
		[FENCE_READ] = "not all outlets could be read",
		[FENCE_TEST] = "not all outlets could be switched"};
	char list[384];

	list_troubles(r, list, sizeof(list));
	snprintf(ret, room, "%s: %s: %s", name, what[r->fence.goal], list);
}

void record_text(const struct shoot_order *o, struct shoot_result *r)
{
	if (r->fence.verdict == FENCE_SUCCESS)
		text_of_success(o->victim->name, r, r->text, sizeof(r->text));
	else
		text_of_failure(o->victim->name, r, r->text, sizeof(r->text));
}

static json_t *text_or_null(const char *text)
{
	char clean[SHOOT_TEXT_MAX];

	if (!text)
		return json_null();
	str_printable(clean, sizeof(clean), text, strlen(text));
	return json_string(clean);
}

/* NULL, or without the member, if there is no memory: the log refuses that. */
static json_t *base(const struct shoot_order *o, const char *event, const char *shot)
{
	json_t *e = json_object();

	json_object_set_new(e, "event", json_string(event));
	json_object_set_new(e, "shot", json_string(shot));
	json_object_set_new(e, "victim", json_string(o->victim->name));
	json_object_set_new(e, "action", json_string(shoot_goal_text(o->goal)));
	json_object_set_new(e, "who", text_or_null(o->who));
	json_object_set_new(e, "reason", text_or_null(o->reason));
	json_object_set_new(e, "by-hand", json_boolean(o->by_hand));
	if (o->victim->proxy)
		json_object_set_new(e, "proxy", json_string(o->victim->proxy->name));
	return e;
}

json_t *record_begin(const struct shoot_order *o, const char *shot)
{
	json_t *e = base(o, "begin", shot), *list = json_array();

	for (size_t i = 0; i < o->victim->outlet_count; i++)
		json_array_append_new(list, text_or_null(o->victim->outlets[i].text));
	json_object_set_new(e, "outlets", list);
	return e;
}

json_t *record_outlet(const struct shoot_result *r, size_t outlet)
{
	const struct fence_outlet *o = &r->fence.outlets[outlet];
	json_t *e = json_object();
	char trouble[160];

	json_object_set_new(e, "outlet", text_or_null(r->names[outlet]));
	json_object_set_new(e, "before", json_string(profile_state_text(o->before)));
	json_object_set_new(e, "before-value", json_integer(o->before_value));
	json_object_set_new(e, "last", json_string(profile_state_text(o->last)));
	json_object_set_new(e, "last-value", json_integer(o->last_value));
	if (fence_goal_switches(r->fence.goal))
		json_object_set_new(e, "set", json_boolean(o->set));
	if (record_trouble(r, outlet, trouble, sizeof(trouble)))
		json_object_set_new(e, "trouble", text_or_null(trouble));
	return e;
}

json_t *record_end(const struct shoot_order *o, const char *shot, const struct shoot_result *r,
	const char *outcome, uint64_t started)
{
	json_t *e = base(o, "end", shot), *list = json_array();

	json_object_set_new(e, "outcome", json_string(outcome));
	json_object_set_new(e, "ms", json_integer((json_int_t)r->ms));
	if (r->fence.off_at)
		json_object_set_new(
			e, "off-after-ms", json_integer((json_int_t)(r->fence.off_at - started)));
	for (size_t i = 0; i < r->fence.outlet_count; i++)
		json_array_append_new(list, record_outlet(r, i));
	json_object_set_new(e, "outlets", list);
	json_object_set_new(e, "text", text_or_null(r->text));
	return e;
}
