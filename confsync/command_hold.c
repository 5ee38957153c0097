/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `xnbd-confsync hold`: which sets wait for people, and sets that people want to be left alone.
 * Freezing takes the set's lock, so that nothing is under way any more when it has been said.
 */
#include "command.h"
#include "log.h"
#include "report.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { LOCK_MS = 10000 };

struct hold {
	bool frozen, held;
	int64_t since;
	char text[sizeof(((struct state_trouble *)NULL)->text)];
};

static void find(const struct state *s, struct hold *ret)
{
	CLEANUP_FREE char *path = NULL;
	struct state_trouble t = {0};
	struct stat st;

	*ret = (struct hold){.frozen = state_is_frozen(s)};
	if (ret->frozen) {
		if (asprintf(&path, "%s/frozen", s->folder) < 0)
			path = NULL;
		ret->since = path && stat(path, &st) == 0 ? st.st_mtim.tv_sec : 0;
		snprintf(ret->text, sizeof(ret->text), "as was asked for");
	} else if (state_trouble_read(s, &t) && t.held) {
		ret->held = true;
		ret->since = t.since;
		str_printable(ret->text, sizeof(ret->text), *t.text ? t.text : plan_why_text(t.why),
			strlen(*t.text ? t.text : plan_why_text(t.why)));
	}
}

static void show(const struct config_set *set, const struct hold *h)
{
	char since[REPORT_TEXT];

	report_time(h->since, since);
	printf("%s: %s since %s: %s\n", set->name, h->frozen ? "frozen" : "held", since, h->text);
	if (h->frozen)
		printf("  xnbd-confsync hold release %s\n", set->name);
	else
		printf("  xnbd-confsync diff %s, then resolve %s --mine or --theirs\n", set->name,
			set->name);
}

static json_t *document_of(const struct config_set *set, const struct hold *h)
{
	return json_pack("{ss ss so so}", "set", set->name, "state", h->frozen ? "frozen" : "held",
		"since", h->since ? json_integer(h->since) : json_null(), "text",
		report_text(h->text));
}

static int list(const struct options *o, const struct config *c)
{
	json_t *found = json_array();
	int ret = COMMAND_DONE;

	for (size_t i = 0; i < c->set_count; i++) {
		struct err err = {0};
		struct state s;
		struct hold h;

		if (c->sets[i].kind == CONFIG_LOCAL)
			continue;
		if (state_open(&s, c, &c->sets[i], &err) < 0) {
			ret = command_fail(&c->sets[i], &err);
			continue;
		}
		find(&s, &h);
		state_close(&s);
		if ((h.frozen || h.held) && o->json)
			json_array_append_new(found, document_of(&c->sets[i], &h));
		else if (h.frozen || h.held)
			show(&c->sets[i], &h);
	}
	if (o->json)
		report_json(json_pack("{sO}", "held", found));
	json_decref(found);
	return ret;
}

static int freeze(const struct config *c, const struct config_set *set, bool on, struct err *err)
{
	struct state s;
	struct hold h;
	int r = state_open(&s, c, set, err);

	if (r < 0)
		return r;
	r = state_lock(&s, LOCK_MS, err);
	find(&s, &h);
	if (r == 0 && !on && !h.frozen && h.held)
		r = err_set(err, EINVAL,
			"both nodes have changes: `resolve --mine` or `--theirs` lets it go");
	else if (r == 0 && on != h.frozen)
		r = state_freeze(&s, on, err);
	state_close(&s);
	return r;
}

static int freeze_all(const struct options *o, const struct config *c, bool on)
{
	struct command_sets sets;
	struct err err = {0};
	int ret = COMMAND_DONE;

	if (o->operand_count < 2)
		err_set(&err, EINVAL, "hold %s: which sets?", o->operands[0]);
	else
		command_sets(o, c, 1, &sets, &err);
	if (err.code) {
		command_fail(NULL, &err);
		return COMMAND_USAGE;
	}
	for (size_t i = 0; i < sets.count; i++) {
		if (freeze(c, sets.items[i], on, &err) < 0)
			ret = command_fail(sets.items[i], &err);
		else if (!o->quiet && !o->json)
			printf("%s: %s\n", sets.items[i]->name,
				on ? "left alone until `hold release`" : "goes on");
	}
	return ret;
}

int command_hold(const struct options *o, const struct config *c)
{
	const char *what = o->operand_count ? o->operands[0] : "list";

	if (strcmp(what, "list") == 0 && o->operand_count < 2)
		return list(o, c);
	if (strcmp(what, "add") == 0 || strcmp(what, "release") == 0)
		return freeze_all(o, c, strcmp(what, "add") == 0);
	log_error("hold %.60s: hold list, hold add SET or hold release SET?", what);
	return COMMAND_USAGE;
}
