/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The questions of an audit, a function each; see watch_judge.h. */
#include "watch_judge.h"

#include "util.h"

#include <stdio.h>
#include <string.h>

enum { FAULT_ROOM = 160 };

#define SAY(text, ...) snprintf(text, WATCH_FIND_TEXT_MAX, __VA_ARGS__)

/* PDUs. */

/* What the fault is, and what the helper said of it, if that is more. */
static const char *fault_text(enum fence_fault fault, const char *why, char *out, size_t room)
{
	const char *text = fence_fault_text(fault);

	if (*why && strcmp(why, text) != 0)
		snprintf(out, room, "%s: %.100s", text, why);
	else
		snprintf(out, room, "%s", text);
	return out;
}

static enum watch_find_verdict is_lost(const struct watch_judge_pdu *p, char *text)
{
	char why[FAULT_ROOM];

	if (p->fault == FENCE_NO_FAULT || p->fault == FENCE_AUTH || p->fault == FENCE_WRONG_SYSTEM)
		return WATCH_NO;
	SAY(text, "PDU %s (%s): %s: a shot that needs it would fail", p->config->name,
		p->config->address, fault_text(p->fault, p->why, why, sizeof(why)));
	return WATCH_YES;
}

static enum watch_find_verdict has_fault(
	const struct watch_judge_pdu *p, enum fence_fault fault, char *text)
{
	char why[FAULT_ROOM];

	if (p->fault == FENCE_NO_FAULT)
		return WATCH_NO;
	if (p->fault != fault)
		return WATCH_UNKNOWN;
	SAY(text, "PDU %s (%s): %s", p->config->name, p->config->address,
		fault_text(fault, p->why, why, sizeof(why)));
	return WATCH_YES;
}

static enum watch_find_verdict is_read_only(const struct watch_judge_pdu *p, char *text)
{
	if (!p->read_only)
		return p->writes || !profile_has_cancel(p->config->profile) ? WATCH_NO
									    : WATCH_UNKNOWN;
	SAY(text, "PDU %s (%s): can be read, but takes no commands: no right to write",
		p->config->name, p->config->address);
	return WATCH_YES;
}

enum watch_find_verdict watch_judge_pdu(
	enum watch_find_kind kind, const struct watch_judge_pdu *p, char *text)
{
	switch (kind) {
	case WATCH_LOST:
		return is_lost(p, text);
	case WATCH_LOGIN:
		return has_fault(p, FENCE_AUTH, text);
	case WATCH_SYSTEM:
		/* Who does not let us in does not say what it is. */
		return has_fault(p, FENCE_WRONG_SYSTEM, text);
	case WATCH_READ_ONLY:
		return is_read_only(p, text);
	default:
		return WATCH_UNKNOWN;
	}
}

/* Outlets. */

static bool is_power(const struct watch_judge_outlet *o)
{
	return o->tested && (o->state == OUTLET_ON || o->state == OUTLET_OFF);
}

struct others {
	bool on, unknown;
};

static struct others look_at_others(const struct watch_judge_outlet *all, size_t count, size_t i)
{
	struct others ret = {false, false};

	for (size_t k = 0; k < count; k++) {
		if (k == i)
			continue;
		ret.on = ret.on || (is_power(&all[k]) && all[k].state == OUTLET_ON);
		ret.unknown = ret.unknown || !is_power(&all[k]);
	}
	return ret;
}

/* A peer that is off altogether is no finding: it was shot, or is not in use. */
static enum watch_find_verdict is_off(
	const struct watch_judge_outlet *all, size_t count, size_t i, const char *node, char *text)
{
	const struct watch_judge_outlet *o = &all[i];
	struct others others = look_at_others(all, count, i);

	if (!is_power(o))
		return WATCH_UNKNOWN;
	if (o->state == OUTLET_ON)
		return WATCH_NO;
	if (o->own && !others.on && !others.unknown)
		SAY(text,
			"%s: outlet %s is off, as are all of this host, which runs: they are not "
			"its outlets",
			node, o->config->text);
	else if (o->own)
		SAY(text, "%s: outlet %s is off while this host runs", node, o->config->text);
	else if (others.on)
		SAY(text, "%s: outlet %s is off while another one is on", node, o->config->text);
	else
		return others.unknown ? WATCH_UNKNOWN : WATCH_NO;
	return WATCH_YES;
}

static enum watch_find_verdict is_unreadable(
	const struct watch_judge_outlet *o, const char *node, char *text)
{
	if (!o->tested)
		return WATCH_UNKNOWN;
	switch (o->state) {
	case OUTLET_UNKNOWN:
		return WATCH_UNKNOWN;
	case OUTLET_OFF:
	case OUTLET_ON:
	case OUTLET_PENDING:
		return WATCH_NO;
	default:
		SAY(text, "%s: outlet %s: %s (it reads %d)", node, o->config->text,
			profile_state_text(o->state), (int)o->value);
		return WATCH_YES;
	}
}

static enum watch_find_verdict is_pending(
	const struct watch_judge_outlet *o, const char *node, char *text)
{
	if (is_power(o))
		return WATCH_NO;
	if (!o->tested || o->state != OUTLET_PENDING)
		return WATCH_UNKNOWN;
	SAY(text, "%s: outlet %s: %s", node, o->config->text, profile_state_text(o->state));
	return WATCH_YES;
}

/* Want of rights is found of the PDU as a whole. */
static enum watch_find_verdict is_refusing(
	const struct watch_judge_outlet *o, const char *node, char *text)
{
	char why[FAULT_ROOM];

	if (!is_power(o))
		return WATCH_UNKNOWN;
	if (o->fault == FENCE_NO_FAULT || o->fault == FENCE_READ_ONLY)
		return WATCH_NO;
	SAY(text, "%s: outlet %s takes no commands: %s", node, o->config->text,
		fault_text(o->fault, o->why, why, sizeof(why)));
	return WATCH_YES;
}

static enum watch_find_verdict is_misnamed(
	const struct watch_judge_outlet *o, const char *node, char *text)
{
	if (o->config->name && !o->has_name && o->config->pdu->profile->outlet_name)
		return WATCH_UNKNOWN;
	if (!o->config->name || !o->has_name || strcmp(o->config->name, o->name) == 0)
		return WATCH_NO;
	SAY(text, "%s: outlet %s is called \"%.100s\", not \"%.100s\": was a cable moved?", node,
		o->config->text, o->name, o->config->name);
	return WATCH_YES;
}

enum watch_find_verdict watch_judge_outlet(enum watch_find_kind kind,
	const struct watch_judge_outlet *all, size_t count, size_t i, const char *node, char *text)
{
	switch (kind) {
	case WATCH_OFF:
		return is_off(all, count, i, node, text);
	case WATCH_UNREADABLE:
		return is_unreadable(&all[i], node, text);
	case WATCH_PENDING:
		return is_pending(&all[i], node, text);
	case WATCH_REFUSES:
		return is_refusing(&all[i], node, text);
	case WATCH_NAME:
		return is_misnamed(&all[i], node, text);
	default:
		return WATCH_UNKNOWN;
	}
}
