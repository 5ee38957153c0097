/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `xnbd-confsync diff`: the files here against the peer's, or against a generation. As diff(1): 0
 * the same, 1 they differ, 2 trouble. Contents are shown of sets of kind config only; of secrets it
 * is said which files differ.
 */
#include "command.h"
#include "compare.h"
#include "difftext.h"
#include "log.h"
#include "report.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { SAME = 0, DIFFERENT = 1, TROUBLE = 2, NAME_ROOM = 1024 };

struct diff {
	const struct options *options;
	const struct config *config;
	struct talk *talk; /* NULL: with a generation */
	const char *other; /* the peer's name, or the generation's */
};

static const struct entry *file_of(const struct entry *e)
{
	return e && e->type == MANIFEST_FILE ? e : NULL;
}

static void name_side(const char *side, const struct entry *e, char ret[NAME_ROOM])
{
	snprintf(ret, NAME_ROOM, "%s:%s", side, e ? e->path : "(none)");
}

/* The texts of a change of a file. */
static int show_texts(
	const struct diff *d, struct compare *x, const struct change *c, struct err *err)
{
	const struct entry *old = file_of(c->old), *new = file_of(c->new);
	char old_name[NAME_ROOM], new_name[NAME_ROOM];
	uint64_t old_size = old ? old->size : 0, new_size = new ? new->size : 0;
	CLEANUP_FD int there = -1;
	CLEANUP_FD int here = -1;

	name_side(d->other, old, old_name);
	name_side(d->config->self->name, new, new_name);
	if (MAX_OF(old_size, new_size) > DIFFTEXT_SIZE_MAX) {
		difftext_sizes(old_name, old_size, new_name, new_size);
		return 0;
	}
	there = compare_read_other(x, d->talk, old, err);
	if (there < 0)
		return there;
	here = compare_read_here(new, err);
	return here < 0 ? here : difftext_contents(there, old_name, here, new_name, err);
}

/* Are there contents to show, and may they be shown? */
static bool has_texts(const struct compare *x, const struct change *c)
{
	if (x->state.set->kind != CONFIG_CONFIG)
		return false;
	if (c->kind == CHANGE_EDIT && !(c->what & (ENTRY_CONTENT | ENTRY_TYPE)))
		return false;
	return file_of(c->old) || file_of(c->new);
}

static int show(const struct diff *d, struct compare *x, struct err *err)
{
	int ret = x->changes.count ? DIFFERENT : SAME;

	for (size_t i = 0; i < x->changes.count && !d->options->quiet && !d->options->json; i++) {
		const struct change *c = &x->changes.items[i];

		difftext_change(c);
		if (has_texts(x, c) && show_texts(d, x, c, err) < 0) {
			command_fail(x->state.set, err);
			ret = TROUBLE;
		}
	}
	return ret;
}

static json_t *document_of(const struct config_set *set, const struct changes *changes)
{
	json_t *list = json_array();

	for (size_t i = 0; i < changes->count; i++)
		json_array_append_new(list, difftext_document(&changes->items[i]));
	return json_pack(
		"{ss sb so}", "set", set->name, "differs", changes->count > 0, "changes", list);
}

static int compare(struct diff *d, struct compare *x, struct err *err)
{
	int r = d->talk ? compare_peer(x, d->talk, err)
			: compare_past(x, d->options->generation, err);

	return r < 0 ? r : compare_make(x, false, err);
}

static int diff_set(struct diff *d, const struct config_set *set, json_t *list)
{
	struct compare x;
	struct err err = {0};
	int ret = compare_open(d->config, set, d->options->full, &x, &err);

	for (size_t i = 0; i < MIN_OF(x.scan.fault_count, (size_t)SCAN_FAULTS_MAX); i++)
		log_warn("%s: %s", set->name, x.scan.faults[i] ? x.scan.faults[i] : "fault");
	if (ret == 0)
		ret = compare(d, &x, &err);
	if (ret == 0) {
		ret = show(d, &x, &err);
		json_array_append_new(list, document_of(set, &x.changes));
	} else {
		command_fail(set, &err);
		ret = TROUBLE;
	}
	compare_done(&x);
	return ret;
}

static int diff_sets(struct diff *d, const struct command_sets *sets)
{
	json_t *list = json_array();
	int ret = SAME;

	for (size_t i = 0; i < sets->count; i++)
		ret = MAX_OF(ret, diff_set(d, sets->items[i], list));
	if (d->options->json)
		report_json(json_pack(
			"{ss ss sO}", "old", d->other, "new", d->config->self->name, "sets", list));
	json_decref(list);
	return ret;
}

int command_diff(const struct options *o, const struct config *c)
{
	char generation[REPORT_TEXT];
	struct diff d = {.options = o, .config = c, .other = c->peer->name};
	struct command_sets sets;
	struct err err = {0};
	int ret = command_sets(o, c, 0, &sets, &err);

	if (ret == 0 && !o->generation)
		ret = talk_call(c, &d.talk, &err);
	if (ret < 0) {
		command_fail(NULL, &err);
		return TROUBLE;
	}
	if (o->generation) {
		snprintf(generation, sizeof(generation), "generation-%.40s", o->generation);
		d.other = generation;
	}
	ret = diff_sets(&d, &sets);
	if (d.talk)
		talk_end(d.talk);
	return ret;
}
