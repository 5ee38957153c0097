/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The agent's command line: the rows of its table as options (opt.h), which are built once for each
 * call because the table is the agent's own.
 */
#include "agent.h"
#include "agent_table.h"
#include "opt.h"
#include "util.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

enum { ROWS_MAX = 60, NAME_ROOM = 32 };

struct rows {
	struct opt opts[ROWS_MAX];
	char names[ROWS_MAX][NAME_ROOM];
	struct opt_set set;
};

void agent_option_name(const struct agent_row *row, char *ret, size_t room)
{
	size_t i;

	for (i = 0; row->name[i] && i + 1 < room; i++)
		ret[i] = row->name[i] == '_' ? '-' : row->name[i];
	ret[i] = 0;
}

static const char *argument_of(const struct agent_row *row)
{
	static const char *const names[] = {[AGENT_TEXT] = "TEXT",
		[AGENT_INTEGER] = "NUMBER",
		[AGENT_SECONDS] = "SECONDS",
		[AGENT_SELECT] = "NAME",
		[AGENT_FLAG] = NULL};

	return names[row->type];
}

static void build(struct rows *rows)
{
	assert(agent_rows <= ROWS_MAX);
	for (size_t i = 0; i < agent_rows; i++) {
		const struct agent_row *row = &agent_table[i];

		agent_option_name(row, rows->names[i], NAME_ROOM);
		rows->opts[i] = (struct opt){.name = rows->names[i],
			.letter = row->letter,
			.kind = row->type == AGENT_FLAG ? OPT_FLAG : OPT_TEXT,
			.offset = row->offset,
			.arg = argument_of(row),
			.help = row->now || row->offset == offsetof(struct agent_params, unused)
				? NULL
				: row->help};
	}
	rows->set = (struct opt_set){
		.usage = "fence_xnbd [OPTION ...]\n"
			 "       fence_xnbd < parameters, a line each: NAME=VALUE",
		.about =
			"Fence agent: switches all outlets of a node off (or on), and reports success "
			"only when each one was read back.",
		.rows = rows->opts,
		.count = agent_rows};
}

int agent_parse_argv(struct agent_params *p, int argc, char **argv, struct err *err)
{
	struct rows rows;
	int rest = 0, r;

	build(&rows);
	r = opt_parse(&rows.set, argc, argv, p, &rest, err);
	if (r == 0 && rest < argc)
		return err_set(err, EINVAL, "%s: unexpected argument (see --help)", argv[rest]);
	agent_drop_empty(p);
	return r;
}

void agent_print_help(void)
{
	struct rows rows;

	build(&rows);
	opt_help(&rows.set);
}
