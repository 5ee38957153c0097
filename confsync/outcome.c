/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Results of sync_sets() in words; see outcome.h. A plan that holds or waits is no error of ours,
 * but what was asked for is not done, so it has an exit status of its own.
 */
#include "outcome.h"

#include "command.h"
#include "difftext.h"
#include "log.h"
#include "report.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_ROOM = 1024 };

static bool is_rollback(const struct options *o)
{
	return o->command == OPTIONS_ROLLBACK;
}

/* Does the plan let something travel, or become one generation? */
static bool is_change(const struct options *o, const struct sync_result *r)
{
	switch (r->plan.action) {
	case PLAN_PUBLISH:
	case PLAN_SEND:
	case PLAN_FETCH:
	case PLAN_FETCH_PUBLISH:
	case PLAN_AGREE:
		return true;
	default:
		return is_rollback(o);
	}
}

static int waiting_status(const struct sync_result *r)
{
	switch (r->plan.why) {
	case PLAN_BECAUSE_FIRST:
	case PLAN_BECAUSE_MANUAL:
		return COMMAND_PENDING;
	case PLAN_BECAUSE_BEHIND:
	case PLAN_BECAUSE_FENCED:
		return COMMAND_BEHIND;
	case PLAN_BECAUSE_WISH: /* the peer is needed for it */
		return r->reached ? COMMAND_FAILED : COMMAND_PENDING;
	case PLAN_BECAUSE_UNUSABLE:
	case PLAN_BECAUSE_UNUSABLE_THERE:
		return COMMAND_FAILED;
	default:
		return COMMAND_HELD;
	}
}

int outcome_status(const struct options *o, const struct sync_result *r)
{
	if (r->code == -EPERM)
		return COMMAND_HELD;
	if (r->code < 0)
		return COMMAND_FAILED;
	if (is_change(o, r) || r->plan.action == PLAN_NOTHING)
		return r->reached ? COMMAND_DONE : COMMAND_PENDING;
	if (r->plan.action == PLAN_WAIT)
		return waiting_status(r);
	return r->plan.action == PLAN_SETTLE ? COMMAND_BEHIND : COMMAND_HELD;
}

/* What people can do about it. */
static void hint(const struct config_set *set, const struct sync_result *r, char *out, size_t room)
{
	const char *n = set->name;

	*out = 0;
	if (r->plan.action == PLAN_HOLD && r->reached)
		snprintf(
			out, room, ": see `diff %s`, then `resolve %s --mine` or `--theirs`", n, n);
	else if (r->plan.why == PLAN_BECAUSE_DRIFT_HERE)
		snprintf(out, room, ": `push --from-here %s` sends it, `pull %s` drops it", n, n);
	else if (r->plan.why == PLAN_BECAUSE_DRIFT_THERE)
		snprintf(out, room, ": `pull %s` takes it", n);
	else if (r->plan.why == PLAN_BECAUSE_BEHIND || r->plan.why == PLAN_BECAUSE_FENCED)
		snprintf(out, room, ": `sync %s` or `pull %s` takes it", n, n);
	else if (r->plan.action == PLAN_WAIT && r->plan.why == PLAN_BECAUSE_MANUAL)
		snprintf(out, room, ": `push %s` or `pull %s`", n, n);
	else if (r->err.text[0])
		snprintf(out, room, ": %.500s", r->err.text);
	else if (r->plan.why == PLAN_BECAUSE_UNUSABLE)
		snprintf(out, room, ": see `check`");
}

static void moved(const struct options *o, const struct config *c, const struct sync_result *r,
	char *out, size_t room)
{
	bool here = r->plan.action == PLAN_FETCH || r->plan.action == PLAN_FETCH_PUBLISH;
	const char *peer = c->peer->name;
	bool dry = o->dry_run;

	if (is_rollback(o) && r->reached)
		snprintf(out, room, "%s back to %s, on both nodes", dry ? "would go" : "went",
			o->operands[1]);
	else if (is_rollback(o))
		snprintf(out, room, "%s back to %s; %s gets it when it is reached",
			dry ? "would go" : "went", o->operands[1], peer);
	else if (r->plan.action == PLAN_AGREE)
		snprintf(out, room, "%s", dry ? "equal, would be in step" : "in step");
	else if (here)
		snprintf(out, room, "%s from %s", dry ? "would be taken" : "taken", peer);
	else if (r->reached)
		snprintf(out, room, "%s to %s", dry ? "would be sent" : "sent", peer);
	else
		snprintf(out, room, "%s a generation here; %s gets it when it is reached",
			dry ? "would become" : "became", peer);
}

static void add_details(
	const struct options *o, const struct sync_result *r, char *out, size_t room)
{
	char digest[REPORT_SHORT], files[REPORT_TEXT], size[REPORT_TEXT];
	size_t used = strlen(out);

	if (!o->dry_run && r->number) {
		report_short(r->digest, digest);
		snprintf(out + used, room - used, ", generation %llu (%s)",
			(unsigned long long)r->number, digest);
	}
	used = strlen(out);
	if (!o->dry_run && r->changed) {
		report_count(r->changed, "content", files);
		report_size(r->bytes, size);
		snprintf(out + used, room - used, ", %s of %s", files, size);
	}
	used = strlen(out);
	if (r->plan.set_aside && is_change(o, r))
		snprintf(out + used, room - used, ", what loses is kept in the history");
}

static bool needs_peer(const struct sync_result *r)
{
	return r->plan.action == PLAN_WAIT && r->plan.why == PLAN_BECAUSE_WISH && !r->reached;
}

static void describe(const struct options *o, const struct config *c, const struct config_set *set,
	const struct sync_result *r, char *out, size_t room)
{
	char more[ERR_TEXT_MAX];

	if (is_change(o, r)) {
		moved(o, c, r, out, room);
		add_details(o, r, out, room);
	} else if (r->plan.action == PLAN_NOTHING) {
		snprintf(out, room, "%s", r->reached ? "in step" : "nothing was changed here");
		add_details(o, r, out, room);
	} else {
		hint(set, r, more, sizeof(more));
		snprintf(out, room, "%s: %s%s", r->plan.action == PLAN_HOLD ? "held" : "waits",
			needs_peer(r) ? "the peer is needed for it" : plan_why_text(r->plan.why),
			more);
	}
}

void outcome_show(const struct options *o, const struct config *c, const struct config_set *set,
	const struct sync_result *r)
{
	char text[TEXT_ROOM];
	int status = outcome_status(o, r);

	if (r->differs)
		log_warn("%s: is defined in another way on %s (see `check`)", set->name,
			c->peer->name);
	if (r->code < 0) {
		command_fail(set, &r->err);
		return;
	}
	describe(o, c, set, r, text, sizeof(text));
	if (status == COMMAND_FAILED || status == COMMAND_HELD || status == COMMAND_BEHIND)
		log_error("%s: %s", set->name, text);
	else if (!o->json && (!o->quiet || status != COMMAND_DONE))
		printf("%s: %s\n", set->name, text);
}

json_t *outcome_document(const struct options *o, const struct config_set *set,
	const struct sync_result *r, const struct changes *changes)
{
	json_t *d = json_object();

	json_object_set_new(d, "set", json_string(set->name));
	json_object_set_new(d, "action",
		json_string(is_rollback(o) ? "rollback" : plan_action_text(r->plan.action)));
	json_object_set_new(d, "why", json_string(plan_why_text(r->plan.why)));
	json_object_set_new(d, "status", json_integer(outcome_status(o, r)));
	json_object_set_new(d, "reached", json_boolean(r->reached));
	json_object_set_new(d, "set-aside", json_boolean(r->plan.set_aside));
	json_object_set_new(d, "generation", json_integer((json_int_t)r->number));
	json_object_set_new(d, "digest", report_hash(r->digest));
	json_object_set_new(d, "contents", json_integer((json_int_t)r->changed));
	json_object_set_new(d, "bytes", json_integer((json_int_t)r->bytes));
	json_object_set_new(d, "error", r->code < 0 ? report_text(r->err.text) : json_null());
	if (changes) {
		json_t *list = json_array();

		for (size_t i = 0; i < changes->count; i++)
			json_array_append_new(list, difftext_document(&changes->items[i]));
		json_object_set_new(d, "changes", list);
	}
	return d;
}
