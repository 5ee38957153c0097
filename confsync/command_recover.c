/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `xnbd-confsync recover`, at boot, before the services whose files are kept: what a crash has left
 * of a transaction is gone on with or undone, without the peer. Afterwards each set has one whole
 * generation in force. And `import-list`, which needs no configuration.
 */
#include "apply.h"
#include "command.h"
#include "import.h"
#include "log.h"
#include "report.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCK_MS = 60000 };

static const char *words_for(enum apply_phase before, const struct apply *a)
{
	if (a->phase == APPLY_PREPARED)
		return "the peer is to say how the last transaction ended; the generation before it is in "
		       "force";
	if (a->phase == APPLY_COMMITTED)
		return "the last transaction is in force; the peer is to say whether it stays";
	return before == APPLY_NONE ? "nothing to recover" : "recovered";
}

static int recover(struct state *s, const char **words, struct err *err)
{
	char transaction[GENERATION_ID_MAX];
	enum apply_phase before;
	struct apply a = {0};
	int r = state_lock(s, LOCK_MS, err);

	if (r < 0)
		return r;
	before = apply_peek(s, transaction);
	/* The index may say what was hashed in memory, and never got to the disk. */
	unlink(s->index);
	r = apply_recover(&a, s, err);
	if (r == 0)
		*words = words_for(before, &a);
	apply_done(&a);
	state_unlock(s);
	return r;
}

static int recover_set(
	const struct options *o, const struct config *c, const struct config_set *set, json_t *list)
{
	const char *words = "";
	struct err err = {0};
	struct state s;
	int r = state_open(&s, c, set, &err);

	if (r == 0) {
		r = recover(&s, &words, &err);
		if (r == 0 && !o->json && !o->quiet)
			printf("%s: %s, generation %llu\n", set->name, words,
				(unsigned long long)s.now.number);
		state_close(&s);
	}
	json_array_append_new(list,
		json_pack("{ss sb ss}", "set", set->name, "done", r == 0, "text",
			r == 0 ? words : err.text));
	return r == 0 ? COMMAND_DONE : command_fail(set, &err);
}

int command_recover(const struct options *o, const struct config *c)
{
	json_t *list = json_array();
	int ret = COMMAND_DONE;

	for (size_t i = 0; i < c->set_count; i++) {
		if (c->sets[i].kind != CONFIG_LOCAL)
			ret = command_worse(ret, recover_set(o, c, &c->sets[i], list));
	}
	if (o->json)
		report_json(json_pack("{sO}", "sets", list));
	json_decref(list);
	return ret;
}

/* import-list */

int command_import(const struct options *o)
{
	const char *name = o->operands[0];
	bool standard = strcmp(name, "-") == 0;
	struct import order = {.set = o->set ? o->set : "imported",
		.root = o->root,
		.from0 = o->from0,
		.folders = o->recursive   ? IMPORT_TREES
			: o->skip_folders ? IMPORT_SKIP
					  : IMPORT_ASK};
	FILE *in = standard ? stdin : fopen(name, "re");
	struct err err = {0};
	int r;

	if (!generation_name_ok(order.set)) {
		err_set(&err, EINVAL, "--set %.64s: a name has letters, digits, '.', '_' and '-'",
			order.set);
		r = COMMAND_USAGE;
	} else if (!in) {
		err_sys(&err, errno, "%.300s", name);
		r = COMMAND_FAILED;
	} else {
		r = import_list(&order, in, standard ? "stdin" : name, stdout, &err) < 0
			? COMMAND_FAILED
			: COMMAND_DONE;
	}
	if (r != COMMAND_DONE)
		command_fail(NULL, &err);
	if (in && !standard)
		fclose(in);
	return r;
}
