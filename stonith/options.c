/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands and options of xnbd-stonith. Which command takes a node, and which options go with which
 * command: what is not meant for a command is refused, as its author thought of something else.
 */
#include "options.h"

#include "config.h"
#include "util.h"

#include <errno.h>
#include <string.h>

#define FIELD(name) offsetof(struct options, name)

enum { DEADLINE_MAX = 600, LINES_MAX = 100000, MINUTES_MAX = 1440, LINES = 10, MINUTES = 10 };

static const struct opt rows[] = {
	{"config", 'c', OPT_TEXT, FIELD(config), "FILE", 0, 0,
		"read FILE instead of " CONFIG_DEFAULT},
	{"reason", 'r', OPT_TEXT, FIELD(reason), "TEXT", 0, 0, "why, for the audit log"},
	{"deadline", 'd', OPT_NUMBER, FIELD(deadline), "SECONDS", 1, DEADLINE_MAX,
		"give up earlier than configured"},
	{"force", 0, OPT_FLAG, FIELD(force), NULL, 0, 0,
		"on: even if somebody else wants it off right now"},
	{"on", 0, OPT_FLAG, FIELD(on), NULL, 0, 0,
		"confirm: that the node may be switched on, not that it is off"},
	{"minutes", 0, OPT_NUMBER, FIELD(minutes), "NUMBER", 1, MINUTES_MAX,
		"confirm: holds for so long (default 10)"},
	{"withdraw", 0, OPT_FLAG, FIELD(withdraw), NULL, 0, 0, "confirm: take it back"},
	{"lines", 'n', OPT_NUMBER, FIELD(lines), "NUMBER", 0, LINES_MAX,
		"audit: show so many of the last lines (default 10)"},
	{"known", 0, OPT_TEXT, FIELD(known), "HASH", 0, 0,
		"audit: a line of this hash must be there"},
	{"json", 'j', OPT_FLAG, FIELD(json), NULL, 0, 0, "show the result in JSON"},
	{"proxy", 0, OPT_TEXT, FIELD(proxy), "CALLER", 0, 0,
		"shoot for another host: as forced command of its key"},
	{"help", 'h', OPT_FLAG, FIELD(help), NULL, 0, 0, "show this text"},
	{"version", 'V', OPT_FLAG, FIELD(version), NULL, 0, 0, "show the version"},
};

const struct opt_set options_set = {
	.usage = "xnbd-stonith [OPTION ...] off|on|reboot|status NODE\n"
		 "       xnbd-stonith [OPTION ...] list\n"
		 "       xnbd-stonith [OPTION ...] verify-map [NODE]\n"
		 "       xnbd-stonith [OPTION ...] audit [FILE ...]\n"
		 "       xnbd-stonith [OPTION ...] confirm NODE\n"
		 "       xnbd-stonith [OPTION ...] health\n"
		 "       xnbd-stonith [--config=FILE] --proxy=CALLER",
	.about = "Switches all outlets of a node off, on, or off and on, and says so only when "
		 "every PDU does.",
	.rows = rows,
	.count = ARRAY_LEN(rows),
};

/* Options that do not go with every command: bits of enum options_command. */
#define SHOTS (1U << OPTIONS_OFF | 1U << OPTIONS_ON | 1U << OPTIONS_REBOOT)

enum operand { NO_OPERAND, MAYBE_OPERAND, OPERAND, MANY_OPERANDS };

static const struct {
	const char *name;
	enum operand operand;
} commands[OPTIONS_COMMANDS] = {
	[OPTIONS_OFF] = {"off", OPERAND},
	[OPTIONS_ON] = {"on", OPERAND},
	[OPTIONS_REBOOT] = {"reboot", OPERAND},
	[OPTIONS_STATUS] = {"status", OPERAND},
	[OPTIONS_LIST] = {"list", NO_OPERAND},
	[OPTIONS_VERIFY_MAP] = {"verify-map", MAYBE_OPERAND},
	[OPTIONS_AUDIT] = {"audit", MANY_OPERANDS},
	[OPTIONS_CONFIRM] = {"confirm", OPERAND},
	[OPTIONS_HEALTH] = {"health", NO_OPERAND},
};

static int find_command(struct options *o, const char *text, struct err *err)
{
	int found = opt_command(commands, sizeof(*commands), OPTIONS_COMMANDS, text, err);

	if (found < 0)
		return found;
	o->command = (enum options_command)found;
	return 0;
}

static int check_options(const struct options *o, struct err *err)
{
	const struct {
		bool given;
		const char *name;
		unsigned where;
	} checks[] = {
		{o->reason, "reason", SHOTS | 1U << OPTIONS_CONFIRM},
		{o->deadline, "deadline", SHOTS | 1U << OPTIONS_STATUS | 1U << OPTIONS_VERIFY_MAP},
		{o->force, "force", 1U << OPTIONS_ON},
		{o->on, "on", 1U << OPTIONS_CONFIRM},
		{o->minutes != UINT64_MAX, "minutes", 1U << OPTIONS_CONFIRM},
		{o->withdraw, "withdraw", 1U << OPTIONS_CONFIRM},
		{o->lines != UINT64_MAX, "lines", 1U << OPTIONS_AUDIT},
		{o->known, "known", 1U << OPTIONS_AUDIT},
	};

	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		if (checks[i].given && !(checks[i].where & 1U << o->command))
			return err_set(err, EINVAL, "--%s has no meaning with %s", checks[i].name,
				commands[o->command].name);
	}
	return 0;
}

static int take_operands(struct options *o, int count, char **words, struct err *err)
{
	enum operand wanted;

	if (o->proxy)
		return count ? err_set(err, EINVAL, "--proxy goes with no command") : 0;
	if (count == 0)
		return err_set(err, EINVAL, "a command is missing (see --help)");
	if (find_command(o, words[0], err) < 0)
		return -EINVAL;
	wanted = commands[o->command].operand;
	if (wanted == OPERAND && count < 2)
		return err_set(err, EINVAL, "%s: of which node?", words[0]);
	if (wanted != MANY_OPERANDS && count > (wanted == NO_OPERAND ? 1 : 2))
		return err_set(err, EINVAL, "'%.60s': one argument too many",
			words[wanted == NO_OPERAND ? 1 : 2]);
	o->operand = count > 1 ? words[1] : NULL;
	o->operands = words + 1;
	o->operand_count = (size_t)count - 1;
	return check_options(o, err);
}

int options_parse(struct options *o, int argc, char **argv, struct err *err)
{
	int rest, ret;

	*o = (struct options){.config = CONFIG_DEFAULT, .lines = UINT64_MAX, .minutes = UINT64_MAX};
	if (opt_parse(&options_set, argc, argv, o, &rest, err) < 0)
		return -EINVAL;
	if (o->help || o->version)
		return 0;
	ret = take_operands(o, argc - rest, argv + rest, err);
	if (o->lines == UINT64_MAX)
		o->lines = LINES;
	if (o->minutes == UINT64_MAX)
		o->minutes = MINUTES;
	return ret;
}

int options_usage_status(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "status") == 0)
			return 1;
	}
	return 2;
}
