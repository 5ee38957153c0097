/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands and options of xnbd-confsync: how many operands a command takes, and which options go
 * with it. What is not meant for a command is refused, as its author thought of something else.
 */
#include "options.h"

#include "config.h"
#include "util.h"

#include <errno.h>
#include <string.h>

#define FIELD(name) offsetof(struct options, name)

enum { TIMEOUT_MAX = 86400, NAGIOS_UNKNOWN = 3, USAGE = 2 };

static const struct opt rows[] = {
	{"config", 'c', OPT_TEXT, FIELD(config), "FILE", 0, 0,
		"read FILE instead of " CONFIG_DEFAULT},
	{"timeout", 't', OPT_NUMBER, FIELD(timeout), "SECONDS", 1, TIMEOUT_MAX,
		"end the conversation with the peer after so long"},
	{"dry-run", 'n', OPT_FLAG, FIELD(dry_run), NULL, 0, 0,
		"say what would be done with each file, and do nothing"},
	{"full", 0, OPT_FLAG, FIELD(full), NULL, 0, 0,
		"read all files, also those that look as they did before"},
	{"from-here", 0, OPT_FLAG, FIELD(from_here), NULL, 0, 0,
		"push: even if this is not the active node"},
	{"mine", 0, OPT_SET, FIELD(side), NULL, OPTIONS_MINE, 0,
		"resolve: the files of this node win"},
	{"theirs", 0, OPT_SET, FIELD(side), NULL, OPTIONS_THEIRS, 0,
		"resolve: the files of the peer win"},
	{"generation", 'g', OPT_TEXT, FIELD(generation), "GENERATION", 0, 0,
		"diff: with a generation of the history, not with the peer"},
	{"peer", 'p', OPT_FLAG, FIELD(peer), NULL, 0, 0, "status: ask the peer now"},
	{"precondition", 0, OPT_FLAG, FIELD(precondition), NULL, 0, 0,
		"status: may this node take over? For resource agents"},
	{"nagios", 0, OPT_FLAG, FIELD(nagios), NULL, 0, 0,
		"status: one line and an exit status for monitoring"},
	{"secret", 0, OPT_FLAG, FIELD(secret), NULL, 0, 0,
		"cat: show a file of a secret set on this terminal"},
	{"set", 's', OPT_TEXT, FIELD(set), "NAME", 0, 0,
		"import-list: name of the set (default: imported)"},
	{"root", 0, OPT_TEXT, FIELD(root), "FOLDER", 0, 0,
		"import-list: folder that the list starts from (default: /)"},
	{"recursive", 'r', OPT_FLAG, FIELD(recursive), NULL, 0, 0,
		"import-list: folders mean all that is in them"},
	{"skip-folders", 0, OPT_FLAG, FIELD(skip_folders), NULL, 0, 0,
		"import-list: leave folders out"},
	{"from0", '0', OPT_FLAG, FIELD(from0), NULL, 0, 0, "import-list: names end in a zero byte"},
	{"json", 'j', OPT_FLAG, FIELD(json), NULL, 0, 0, "show the result in JSON"},
	{"quiet", 'q', OPT_FLAG, FIELD(quiet), NULL, 0, 0, "say nothing if all is well"},
	{"verbose", 'v', OPT_FLAG, FIELD(verbose), NULL, 0, 0, "say more of what is done"},
	{"serve", 0, OPT_TEXT, FIELD(serve), "NODE", 0, 0,
		"answer the peer: as forced command of its key"},
	{"help", 'h', OPT_FLAG, FIELD(help), NULL, 0, 0, "show this text"},
	{"version", 'V', OPT_FLAG, FIELD(version), NULL, 0, 0, "show the version"},
};

const struct opt_set options_set = {
	.usage = "xnbd-confsync [OPTION ...] status|sync|push|pull|diff [SET ...]\n"
		 "       xnbd-confsync [OPTION ...] hold [list|add SET ...|release SET ...]\n"
		 "       xnbd-confsync [OPTION ...] resolve SET --mine|--theirs\n"
		 "       xnbd-confsync [OPTION ...] history SET\n"
		 "       xnbd-confsync [OPTION ...] rollback SET GENERATION\n"
		 "       xnbd-confsync [OPTION ...] show SET [GENERATION]\n"
		 "       xnbd-confsync [OPTION ...] cat SET GENERATION PATH\n"
		 "       xnbd-confsync [OPTION ...] init|check|recover|daemon\n"
		 "       xnbd-confsync [OPTION ...] import-list FILE\n"
		 "       xnbd-confsync [OPTION ...] fenced NODE\n"
		 "       xnbd-confsync [--config=FILE] --serve=NODE",
	.about = "Keeps the configuration of two nodes the same: sets of files, validated, changed "
		 "as a whole on both nodes, and reversible.",
	.rows = rows,
	.count = ARRAY_LEN(rows),
};

enum { MANY = 1000000 };

static const struct {
	const char *name;
	size_t min, max;     /* operands */
	const char *lacking; /* what the user is asked for if there are less */
} commands[OPTIONS_COMMANDS] = {
	[OPTIONS_STATUS] = {"status", 0, MANY, NULL},
	[OPTIONS_SYNC] = {"sync", 0, MANY, NULL},
	[OPTIONS_PUSH] = {"push", 0, MANY, NULL},
	[OPTIONS_PULL] = {"pull", 0, MANY, NULL},
	[OPTIONS_DIFF] = {"diff", 0, MANY, NULL},
	[OPTIONS_HOLD] = {"hold", 0, MANY, NULL},
	[OPTIONS_RESOLVE] = {"resolve", 1, 1, "SET"},
	[OPTIONS_HISTORY] = {"history", 1, 1, "SET"},
	[OPTIONS_ROLLBACK] = {"rollback", 2, 2, "SET GENERATION"},
	[OPTIONS_SHOW] = {"show", 1, 2, "SET [GENERATION]"},
	[OPTIONS_CAT] = {"cat", 3, 3, "SET GENERATION PATH"},
	[OPTIONS_CHECK] = {"check", 0, 0, NULL},
	[OPTIONS_RECOVER] = {"recover", 0, 0, NULL},
	[OPTIONS_INIT] = {"init", 0, 0, NULL},
	[OPTIONS_IMPORT_LIST] = {"import-list", 1, 1, "FILE (- for stdin)"},
	[OPTIONS_FENCED] = {"fenced", 1, 1, "NODE"},
	[OPTIONS_DAEMON] = {"daemon", 0, 0, NULL},
};

const char *options_command_name(enum options_command c)
{
	return commands[c].name;
}

static int find_command(struct options *o, const char *text, struct err *err)
{
	int found = opt_command(commands, sizeof(*commands), OPTIONS_COMMANDS, text, err);

	if (found < 0)
		return found;
	o->command = (enum options_command)found;
	return 0;
}

#define BIT(command) (1U << OPTIONS_##command)

static int check_options(const struct options *o, struct err *err)
{
	unsigned moves = BIT(SYNC) | BIT(PUSH) | BIT(PULL) | BIT(RESOLVE) | BIT(ROLLBACK);
	unsigned talks = moves | BIT(STATUS) | BIT(DIFF) | BIT(CHECK);
	const struct {
		bool given;
		const char *name;
		unsigned where;
	} checks[] = {
		{o->timeout, "timeout", talks},
		{o->dry_run, "dry-run", moves},
		{o->full, "full", talks},
		{o->from_here, "from-here", BIT(PUSH)},
		{o->side == OPTIONS_MINE, "mine", BIT(RESOLVE)},
		{o->side == OPTIONS_THEIRS, "theirs", BIT(RESOLVE)},
		{o->generation, "generation", BIT(DIFF)},
		{o->peer, "peer", BIT(STATUS)},
		{o->precondition, "precondition", BIT(STATUS)},
		{o->nagios, "nagios", BIT(STATUS)},
		{o->secret, "secret", BIT(CAT)},
		{o->set, "set", BIT(IMPORT_LIST)},
		{o->root, "root", BIT(IMPORT_LIST)},
		{o->recursive, "recursive", BIT(IMPORT_LIST)},
		{o->skip_folders, "skip-folders", BIT(IMPORT_LIST)},
		{o->from0, "from0", BIT(IMPORT_LIST)},
		{o->json, "json", ~(BIT(CAT) | BIT(DAEMON) | BIT(IMPORT_LIST))},
	};

	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		if (checks[i].given && !(checks[i].where & 1U << o->command))
			return err_set(err, EINVAL, "--%s has no meaning with %s", checks[i].name,
				commands[o->command].name);
	}
	return 0;
}

/* Options that need or exclude each other. */
static int check_together(const struct options *o, struct err *err)
{
	if (o->command == OPTIONS_RESOLVE && o->side == OPTIONS_NO_SIDE)
		return err_set(err, EINVAL, "resolve: whose files win, --mine or --theirs?");
	if (o->recursive && o->skip_folders)
		return err_set(err, EINVAL, "--recursive and --skip-folders exclude each other");
	if (o->nagios && (o->json || o->precondition))
		return err_set(err, EINVAL, "--nagios goes without --json and --precondition");
	if (o->precondition && o->peer)
		return err_set(err, EINVAL,
			"--precondition goes without --peer: it must not wait for anybody");
	return 0;
}

static int take_operands(struct options *o, int count, char **words, struct err *err)
{
	size_t got = (size_t)count - 1;

	if (o->serve)
		return count ? err_set(err, EINVAL, "--serve goes with no command") : 0;
	if (count == 0)
		return err_set(err, EINVAL, "a command is missing (see --help)");
	if (find_command(o, words[0], err) < 0)
		return -EINVAL;
	if (got < commands[o->command].min)
		return err_set(err, EINVAL, "%s needs %s", words[0], commands[o->command].lacking);
	if (got > commands[o->command].max)
		return err_set(err, EINVAL, "'%.60s': one argument too many",
			words[1 + commands[o->command].max]);
	o->operands = words + 1;
	o->operand_count = got;
	return check_options(o, err) < 0 ? -EINVAL : check_together(o, err);
}

int options_parse(struct options *o, int argc, char **argv, struct err *err)
{
	int rest;

	*o = (struct options){.config = CONFIG_DEFAULT};
	if (opt_parse(&options_set, argc, argv, o, &rest, err) < 0)
		return -EINVAL;
	if (o->help || o->version)
		return 0;
	return take_operands(o, argc - rest, argv + rest, err);
}

int options_usage_status(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--nagios") == 0)
			return NAGIOS_UNKNOWN;
	}
	return USAGE;
}
