/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options of xnbd-bgctl: those of the original and what came since. The page in man/ is compared
 * with the first table by a test. An option given beside a command it does nothing for is refused:
 * who writes --force or --rate relies on it.
 */
#include "options.h"

#include "export.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FIELD(name) offsetof(struct bgctl_options, name)
#define BIT(action) (1u << (action))

static const struct opt rows[] = {
	{"query", 'q', OPT_SET, FIELD(action), "CONTROL", BGCTL_QUERY, 0,
		"show the state of the server (the default)"},
	{"cache-all", 'c', OPT_SET, FIELD(action), "CONTROL", BGCTL_CACHE_ALL, 0,
		"have a proxy fetch all blocks, and wait until it has"},
	{"cache-all2", 'C', OPT_SET, FIELD(action), "CONTROL", BGCTL_CACHE_ALL, 0,
		"the same as --cache-all"},
	{"switch", 's', OPT_SET, FIELD(action), "CONTROL", BGCTL_SWITCH, 0,
		"turn a proxy that has all blocks into a target"},
	{"shutdown", 0, OPT_SET, FIELD(action), "CONTROL", BGCTL_SWITCH, 0, "the same as --switch"},
	{"reconnect", 'r', OPT_SET, FIELD(action), "CONTROL HOST PORT", BGCTL_RECONNECT, 0,
		"give a proxy this origin; also --reconnect CONTROL URI"},
	{"snapshot", 0, OPT_SET, FIELD(action), "CONTROL", BGCTL_SNAPSHOT, 0,
		"keep the content of this moment as a file"},
	{"list-snapshots", 0, OPT_SET, FIELD(action), "CONTROL", BGCTL_LIST_SNAPSHOTS, 0,
		"show the snapshots"},
	{"drop-snapshot", 0, OPT_SET, FIELD(action), "CONTROL ID", BGCTL_DROP_SNAPSHOT, 0,
		"end a snapshot; the file of a complete one stays"},
	{"pause", 0, OPT_SET, FIELD(action), "CONTROL", BGCTL_PAUSE, 0, "hold the background copy"},
	{"resume", 0, OPT_SET, FIELD(action), "CONTROL", BGCTL_RESUME, 0, "go on with it"},
	{"verify", 0, OPT_SET, FIELD(action), "CONTROL", BGCTL_VERIFY, 0,
		"compare the cache with the origin"},
	{"json", 'j', OPT_FLAG, FIELD(json), NULL, 0, 0,
		"with --query, --snapshot, --list-snapshots, --verify: answer in JSON"},
	{"progress", 0, OPT_FLAG, FIELD(progress), NULL, 0, 0,
		"with --cache-all: show how far it is"},
	{"blocks-per-request", 0, OPT_NUMBER, FIELD(blocks_per_request), "N", 1, 8192,
		"with --cache-all: blocks fetched at once (default 31)"},
	{"rate", 0, OPT_SIZE, FIELD(rate), "BYTES", 0, 1ULL << 50,
		"with --cache-all: fetch at most so much a second (0 = no limit)"},
	{"idle", 0, OPT_FLAG, FIELD(idle), NULL, 0, 0,
		"with --cache-all: fetch only while clients are quiet"},
	{"no-wait", 0, OPT_FLAG, FIELD(no_wait), NULL, 0, 0,
		"with --cache-all: return once it has begun"},
	{"force", 0, OPT_FLAG, FIELD(force), NULL, 0, 0,
		"with --switch: even if blocks are absent; they read as zeros"},
	{"exportname", 0, OPT_TEXT, FIELD(exportname), "NAME", 0, 0,
		"with --reconnect: export to ask the origin for"},
	{"to", 0, OPT_TEXT, FIELD(to), "FILE", 0, 0, "with --snapshot: write it to FILE"},
	{"wait", 0, OPT_FLAG, FIELD(wait), NULL, 0, 0,
		"with --snapshot: return when the file is complete"},
	{"samples", 0, OPT_NUMBER, FIELD(samples), "N", 1, 1ULL << 40,
		"with --verify: compare N random blocks (default 1000)"},
	{"help", 'h', OPT_FLAG, FIELD(help), NULL, 0, 0, "show this text"},
	{"version", 'v', OPT_FLAG, FIELD(version), NULL, 0, 0, "show the version"},
};

const struct opt_set bgctl_option_set = {
	.usage = "xnbd-bgctl [COMMAND] [OPTION ...] CONTROL [ARGUMENT ...]",
	.about = "Controls a running xnbd-server by its control socket CONTROL.",
	.rows = rows,
	.count = ARRAY_LEN(rows),
};

static const struct command {
	const char *name;
	int min, max; /* operands */
	const char *operands;
} commands[] = {
	[BGCTL_QUERY] = {"--query", 1, 1, "CONTROL"},
	[BGCTL_CACHE_ALL] = {"--cache-all", 1, 1, "CONTROL"},
	[BGCTL_SWITCH] = {"--switch", 1, 1, "CONTROL"},
	[BGCTL_RECONNECT] = {"--reconnect", 2, 3, "CONTROL HOST PORT or CONTROL URI"},
	[BGCTL_SNAPSHOT] = {"--snapshot", 1, 1, "CONTROL"},
	[BGCTL_LIST_SNAPSHOTS] = {"--list-snapshots", 1, 1, "CONTROL"},
	[BGCTL_DROP_SNAPSHOT] = {"--drop-snapshot", 2, 2, "CONTROL ID"},
	[BGCTL_PAUSE] = {"--pause", 1, 1, "CONTROL"},
	[BGCTL_RESUME] = {"--resume", 1, 1, "CONTROL"},
	[BGCTL_VERIFY] = {"--verify", 1, 1, "CONTROL"},
};

void bgctl_options_default(struct bgctl_options *o)
{
	*o = (struct bgctl_options){.rate = UINT64_MAX};
}

static int refuse_option(const char *option, unsigned belongs, struct err *err)
{
	char text[200] = "";
	size_t used = 0;

	for (size_t i = 0; i < ARRAY_LEN(commands) && used < sizeof(text); i++) {
		if (belongs & BIT(i))
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
				used ? ", " : "", commands[i].name);
	}
	return err_set(err, EINVAL, "%s goes with %s only", option, text);
}

static int check_belonging(const struct bgctl_options *o, struct err *err)
{
	const struct {
		const char *name;
		bool given;
		unsigned commands;
	} options[] = {
		{"--json", o->json,
			BIT(BGCTL_QUERY) | BIT(BGCTL_SNAPSHOT) | BIT(BGCTL_LIST_SNAPSHOTS) |
				BIT(BGCTL_VERIFY)},
		{"--progress", o->progress, BIT(BGCTL_CACHE_ALL)},
		{"--blocks-per-request", o->blocks_per_request > 0, BIT(BGCTL_CACHE_ALL)},
		{"--rate", o->rate != UINT64_MAX, BIT(BGCTL_CACHE_ALL)},
		{"--idle", o->idle, BIT(BGCTL_CACHE_ALL)},
		{"--no-wait", o->no_wait, BIT(BGCTL_CACHE_ALL)},
		{"--force", o->force, BIT(BGCTL_SWITCH)},
		{"--exportname", o->exportname, BIT(BGCTL_RECONNECT)},
		{"--to", o->to, BIT(BGCTL_SNAPSHOT)},
		{"--wait", o->wait, BIT(BGCTL_SNAPSHOT)},
		{"--samples", o->samples > 0, BIT(BGCTL_VERIFY)},
	};

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (options[i].given && !(options[i].commands & BIT(o->action)))
			return refuse_option(options[i].name, options[i].commands, err);
	}
	if (o->progress && o->no_wait)
		return err_set(err, EINVAL, "--progress and --no-wait exclude each other");
	if (o->to && !*o->to)
		return err_set(err, EINVAL, "--to: a file name is wanted");
	return 0;
}

static int take_origin(struct bgctl_options *o, int count, char **operands, struct err *err)
{
	if (count == 3) {
		o->host = operands[1];
		o->port = operands[2];
		return 0;
	}
	o->uri = operands[1];
	if (export_check_uri(o->uri, err) < 0)
		return -EINVAL;
	if (o->exportname)
		return err_set(err, EINVAL,
			"--exportname goes with HOST PORT; a URI names the export itself");
	return 0;
}

int bgctl_options_check(struct bgctl_options *o, int count, char **operands, struct err *err)
{
	const struct command *c;

	if (o->action == BGCTL_NONE)
		o->action = BGCTL_QUERY;
	c = &commands[o->action];
	if (check_belonging(o, err) < 0)
		return -EINVAL;
	if (count < c->min || count > c->max)
		return err_set(err, EINVAL, "%s takes %s; arguments given: %d (see --help)",
			c->name, c->operands, count);
	o->control = operands[0];
	if (o->action == BGCTL_RECONNECT)
		return take_origin(o, count, operands, err);
	if (o->action == BGCTL_DROP_SNAPSHOT &&
		str_number(operands[1], 0, INT64_MAX, &o->snapshot) < 0)
		return err_set(err, EINVAL,
			"--drop-snapshot: '%s' is no ID; CONTROL comes first, then the ID",
			operands[1]);
	return 0;
}
