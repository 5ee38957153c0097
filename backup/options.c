/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands and options of xnbd-backup; which options go with which command. What is not meant for a
 * command is refused, as its author thought of something else.
 */
#include "options.h"

#include "config.h"
#include "util.h"

#include <errno.h>
#include <string.h>

#define FIELD(name) offsetof(struct options, name)

enum { NAGIOS_UNKNOWN = 3, USAGE = 2 };

static const struct opt rows[] = {
	{"config", 'c', OPT_TEXT, FIELD(config), "FILE", 0, 0,
		"read FILE instead of " CONFIG_DEFAULT},
	{"force", 'f', OPT_FLAG, FIELD(force), NULL, 0, 0, "run: also what is not due yet"},
	{"dry-run", 'n', OPT_FLAG, FIELD(dry_run), NULL, 0, 0,
		"run: say what would be copied where, and change nothing"},
	{"control", 's', OPT_TEXT, FIELD(control), "PATH", 0, 0,
		"plan: control socket of the wrapper"},
	{"target-group", 'g', OPT_TEXT, FIELD(group), "NAME", 0, 0,
		"plan: volume group for the copies (default: vg_backup)"},
	{"json", 'j', OPT_FLAG, FIELD(json), NULL, 0, 0, "show the result in JSON"},
	{"quiet", 'q', OPT_FLAG, FIELD(quiet), NULL, 0, 0, "run: show what is not good only"},
	{"help", 'h', OPT_FLAG, FIELD(help), NULL, 0, 0, "show this text"},
	{"version", 'V', OPT_FLAG, FIELD(version), NULL, 0, 0, "show the version"},
};

const struct opt_set options_set = {
	.usage = "xnbd-backup [OPTION ...] run|status|verify|list [VOLUME ...]\n"
		 "       xnbd-backup [OPTION ...] plan|check|stop",
	.about =
		"Copies of volumes and exports, made by cron or a timer: due, consistent, verified, "
		"as many as are to be kept, and on the active node only.",
	.rows = rows,
	.count = ARRAY_LEN(rows),
};

static const struct {
	const char *name;
	bool takes_volumes;
} commands[OPTIONS_COMMANDS] = {
	[OPTIONS_RUN] = {"run", true},
	[OPTIONS_STATUS] = {"status", true},
	[OPTIONS_VERIFY] = {"verify", true},
	[OPTIONS_LIST] = {"list", true},
	[OPTIONS_PLAN] = {"plan", false},
	[OPTIONS_CHECK] = {"check", false},
	[OPTIONS_STOP] = {"stop", false},
};

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
	const struct {
		bool given;
		const char *name;
		unsigned where;
	} checks[] = {
		{o->force, "force", BIT(RUN)},
		{o->dry_run, "dry-run", BIT(RUN)},
		{o->quiet, "quiet", BIT(RUN) | BIT(VERIFY)},
		{o->config, "config", ~BIT(PLAN)},
		{o->control, "control", BIT(PLAN)},
		{o->group, "target-group", BIT(PLAN)},
		{o->json, "json", BIT(RUN) | BIT(STATUS) | BIT(VERIFY) | BIT(LIST)},
	};

	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		if (checks[i].given && !(checks[i].where & 1U << o->command))
			return err_set(err, EINVAL, "--%s has no meaning with %s", checks[i].name,
				commands[o->command].name);
	}
	return 0;
}

int options_parse(struct options *o, int argc, char **argv, struct err *err)
{
	int rest;

	*o = (struct options){0};
	if (opt_parse(&options_set, argc, argv, o, &rest, err) < 0)
		return -EINVAL;
	if (o->help || o->version)
		return 0;
	if (rest == argc)
		return err_set(err, EINVAL, "a command is missing (see --help)");
	if (find_command(o, argv[rest], err) < 0)
		return -EINVAL;
	o->operands = argv + rest + 1;
	o->operand_count = (size_t)(argc - rest - 1);
	if (o->operand_count > 0 && !commands[o->command].takes_volumes)
		return err_set(err, EINVAL, "'%.60s': one argument too many", o->operands[0]);
	if (check_options(o, err) < 0)
		return -EINVAL;
	if (!o->config)
		o->config = CONFIG_DEFAULT;
	return 0;
}

int options_usage_status(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], commands[OPTIONS_STATUS].name) == 0)
			return NAGIOS_UNKNOWN;
	}
	return USAGE;
}
