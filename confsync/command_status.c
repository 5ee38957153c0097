/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `xnbd-confsync status`: a line for each set, from what is known here; with --peer the peer is
 * asked first, which changes nothing but what is known of it. --precondition answers one question
 * of resource agents and waits for nobody.
 */
#include "command.h"
#include "log.h"
#include "report.h"
#include "standing.h"
#include "sync.h"
#include "util.h"

#include <errno.h>

#include <stdio.h>
#include <string.h>

enum { LINE_ROOM = 2048, NAGIOS_OK = 0, NAGIOS_WARNING = 1, NAGIOS_CRITICAL = 2, NAGIOS_UNKNOWN };

/* Local sets are shown only to who names them. */
static int select_sets(
	const struct options *o, const struct config *c, struct command_sets *ret, struct err *err)
{
	ret->count = 0;
	if (o->operand_count == 0)
		return command_sets(o, c, 0, ret, err);
	for (size_t i = 0; i < o->operand_count && ret->count < ARRAY_LEN(ret->items); i++) {
		ret->items[ret->count] = config_set(c, o->operands[i]);
		if (!ret->items[ret->count++])
			return err_set(err, ENOENT, "'%.64s': no such set in %.300s",
				o->operands[i], c->path);
	}
	return 0;
}

static void ask_peer(const struct options *o, const struct config *c,
	const struct command_sets *sets, struct sync_result *results)
{
	struct sync_order order = {.wish = PLAN_AUTO, .dry_run = true, .full = o->full};
	struct talk *t = NULL;
	struct err err = {0};

	if (talk_call(c, &t, &err) < 0) {
		t = NULL;
		log_warn("%s", err.text);
	}
	sync_sets(c, t, &err, sets->items, sets->count, &order, results);
	if (t)
		talk_end(t);
}

static void nagios_line(const struct config *c, const struct standing *all, size_t count, int worst)
{
	static const char *const words[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};
	char line[LINE_ROOM], sets[REPORT_TEXT];
	size_t good = 0;

	printf("CONFSYNC %s:", words[worst]);
	for (size_t i = 0; i < count; i++) {
		if (standing_exit(all[i].kind) == COMMAND_DONE) {
			good++;
			continue;
		}
		standing_line(&all[i], c->peer->name, line, sizeof(line));
		printf(" %s;", line);
	}
	report_count(good, "set", sets);
	printf(" %s in step\n", sets);
}

static int nagios_status(int status)
{
	switch (status) {
	case COMMAND_DONE:
		return NAGIOS_OK;
	case COMMAND_PENDING:
	case COMMAND_BEHIND:
		return NAGIOS_WARNING;
	case COMMAND_HELD:
		return NAGIOS_CRITICAL;
	default:
		return NAGIOS_UNKNOWN;
	}
}

static void show_json(const struct config *c, const struct standing *all, size_t count, int worst)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, standing_document(&all[i]));
	report_json(json_pack("{ss ss si so}", "node", c->self->name, "peer", c->peer->name,
		"status", worst, "sets", list));
}

static int show(
	const struct options *o, const struct config *c, const struct standing *all, size_t count)
{
	char line[LINE_ROOM];
	int worst = COMMAND_DONE;

	for (size_t i = 0; i < count; i++)
		worst = command_worse(worst, standing_exit(all[i].kind));
	if (o->nagios) {
		nagios_line(c, all, count, nagios_status(worst));
		return nagios_status(worst);
	}
	if (o->json)
		show_json(c, all, count, worst);
	for (size_t i = 0; i < count && !o->json; i++) {
		standing_line(&all[i], c->peer->name, line, sizeof(line));
		if (!o->quiet || standing_exit(all[i].kind) != COMMAND_DONE)
			printf("%s\n", line);
	}
	return worst;
}

int command_status(const struct options *o, const struct config *c)
{
	struct standing *all = calloc(CONFIG_SETS_MAX, sizeof(*all));
	struct sync_result *results = o->peer ? calloc(CONFIG_SETS_MAX, sizeof(*results)) : NULL;
	struct command_sets sets;
	struct err err = {0};
	int role = STANDING_ROLE_UNKNOWN, ret = COMMAND_USAGE;

	if (!all || (o->peer && !results)) {
		err_sys(&err, ENOMEM, "status");
		ret = command_fail(NULL, &err);
	} else if (select_sets(o, c, &sets, &err) < 0) {
		command_fail(NULL, &err);
	} else {
		if (o->peer)
			ask_peer(o, c, &sets, results);
		for (size_t i = 0; i < sets.count; i++) {
			const struct plan *asked =
				o->peer && results[i].reached && results[i].code == 0
				? &results[i].plan
				: NULL;

			standing_find(c, sets.items[i], o->full, &role, asked, &all[i]);
		}
		ret = show(o, c, all, sets.count);
	}
	free(results);
	free(all);
	return ret;
}

int command_precondition(const struct options *o, const struct config *c)
{
	json_t *list = json_array();
	struct command_sets sets;
	struct err err = {0};
	int ret = COMMAND_DONE;

	if (command_sets(o, c, 0, &sets, &err) < 0) {
		json_decref(list);
		return command_fail(NULL, &err);
	}
	for (size_t i = 0; i < sets.count; i++) {
		char why[ERR_TEXT_MAX];

		if (standing_may_take_over(c, sets.items[i], why, sizeof(why)))
			continue;
		ret = COMMAND_FAILED;
		log_error("%s: %s", sets.items[i]->name, why);
		json_array_append_new(
			list, json_pack("{ss ss}", "set", sets.items[i]->name, "why", why));
	}
	if (o->json)
		report_json(json_pack(
			"{sb sO}", "may-take-over", ret == COMMAND_DONE, "against", list));
	else if (ret == COMMAND_DONE && !o->quiet)
		printf("%s may take over: nothing newer is known of %s\n", c->self->name,
			c->peer->name);
	json_decref(list);
	return ret;
}
