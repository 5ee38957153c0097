/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sync, push, pull, resolve and rollback: one conversation with the peer for all sets, and what it
 * came to. --dry-run compares the files of both sides and changes nothing on either.
 */
#include "command.h"
#include "compare.h"
#include "difftext.h"
#include "log.h"
#include "outcome.h"
#include "progress.h"
#include "report.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static enum plan_wish wish_of(const struct options *o)
{
	switch (o->command) {
	case OPTIONS_PUSH:
		return o->from_here ? PLAN_PUSH_HERE : PLAN_PUSH;
	case OPTIONS_PULL:
		return PLAN_PULL;
	case OPTIONS_RESOLVE:
		return o->side == OPTIONS_MINE ? PLAN_KEEP_MINE : PLAN_KEEP_THEIRS;
	case OPTIONS_ROLLBACK:
		return PLAN_PUSH_HERE;
	default:
		return PLAN_AUTO;
	}
}

/* Resolve and rollback have one set. */
static int select_sets(
	const struct options *o, const struct config *c, struct command_sets *ret, struct err *err)
{
	struct options first = *o;

	if (o->command == OPTIONS_RESOLVE || o->command == OPTIONS_ROLLBACK)
		first.operand_count = 1;
	return command_sets(&first, c, 0, ret, err);
}

/* What would be done, file by file. */

static int preview(const struct options *o, struct talk *t, const struct sync_result *r,
	struct compare *x, struct err *err)
{
	bool from_here = o->command != OPTIONS_ROLLBACK &&
		(r->plan.action == PLAN_PUBLISH || r->plan.action == PLAN_SEND);
	int code;

	if (o->command == OPTIONS_ROLLBACK)
		code = compare_past(x, o->operands[1], err);
	else if (t && !talk_dead(t))
		code = compare_peer(x, t, err);
	else
		code = compare_now(x, err);
	return code < 0 ? code : compare_make(x, !from_here, err);
}

static bool has_preview(const struct options *o, const struct sync_result *r)
{
	if (!o->dry_run || r->code < 0)
		return false;
	return o->command == OPTIONS_ROLLBACK || r->plan.action == PLAN_PUBLISH ||
		r->plan.action == PLAN_SEND || r->plan.action == PLAN_FETCH ||
		r->plan.action == PLAN_FETCH_PUBLISH;
}

static void show_changes(const struct options *o, const struct changes *changes)
{
	for (size_t i = 0; i < changes->count && !o->json && !o->quiet; i++)
		difftext_change(&changes->items[i]);
}

/* The result of one set; with --dry-run its files too. */
static int tell(const struct options *o, const struct config *c, const struct config_set *set,
	struct talk *t, const struct sync_result *r, json_t *list)
{
	int status = outcome_status(o, r), code = 0;
	bool wanted = has_preview(o, r);
	struct compare x = {.state = {.lock = -1}};
	struct err err = {0};

	outcome_show(o, c, set, r);
	if (wanted) {
		code = compare_open(c, set, o->full, &x, &err);
		if (code == 0)
			code = preview(o, t, r, &x, &err);
	}
	if (code < 0)
		status = command_worse(status, command_fail(set, &err));
	show_changes(o, &x.changes);
	json_array_append_new(list, outcome_document(o, set, r, wanted ? &x.changes : NULL));
	if (wanted)
		compare_done(&x);
	return status;
}

static int tell_all(const struct options *o, const struct config *c,
	const struct command_sets *sets, struct talk *t, const struct sync_result *results)
{
	json_t *list = json_array();
	int ret = COMMAND_DONE;

	for (size_t i = 0; i < sets->count; i++)
		ret = command_worse(ret, tell(o, c, sets->items[i], t, &results[i], list));
	if (o->json)
		report_json(json_pack(
			"{si sb sO}", "status", ret, "dry-run", o->dry_run, "sets", list));
	json_decref(list);
	return ret;
}

static int run(const struct options *o, const struct config *c, const struct command_sets *sets,
	struct sync_result *results)
{
	struct progress progress;
	struct sync_order order = {.wish = wish_of(o),
		.rollback_to = o->command == OPTIONS_ROLLBACK ? o->operands[1] : NULL,
		.dry_run = o->dry_run,
		.full = o->full,
		.again = true};
	struct talk *t = NULL;
	struct err why = {0};
	int ret;

	progress_init(&progress, !o->quiet && !o->json);
	order.progress = progress_hook(&progress);
	if (talk_call(c, &t, &why) < 0) {
		log_warn("%s", why.text);
		t = NULL;
	}
	sync_sets(c, t, &why, sets->items, sets->count, &order, results);
	progress_end(&progress);
	ret = tell_all(o, c, sets, t, results);
	if (t)
		talk_end(t);
	return ret;
}

int command_sync(const struct options *o, const struct config *c)
{
	struct sync_result *results = calloc(CONFIG_SETS_MAX, sizeof(*results));
	struct command_sets sets;
	struct err err = {0};
	int ret = COMMAND_USAGE;

	if (!results) {
		err_sys(&err, ENOMEM, "results");
		return command_fail(NULL, &err);
	}
	if (select_sets(o, c, &sets, &err) < 0)
		command_fail(NULL, &err);
	else
		ret = run(o, c, &sets, results);
	free(results);
	return ret;
}
