/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options of xnbd-wrapper-ctl, those of the original and --json, --status. */
#include "options.h"

#include "util.h"

#define FIELD(name) offsetof(struct ctl_options, name)

static const struct opt rows[] = {
	{"list", 'l', OPT_SET, FIELD(action), NULL, CTL_LIST, 0, "show the exports"},
	{"status", 0, OPT_SET, FIELD(action), NULL, CTL_STATUS, 0,
		"show what the wrapper is doing"},
	{"add-target", 0, OPT_SET, FIELD(action), "NAME FILE", CTL_ADD_TARGET, 0,
		"export FILE as NAME"},
	{"add", 'a', OPT_SET, FIELD(action), "FILE", CTL_ADD, 0, "export FILE under its own path"},
	{"remove-by-exportname", 0, OPT_SET, FIELD(action), "NAME", CTL_REMOVE_BY_NAME, 0,
		"remove the export NAME; its clients stay"},
	{"remove-by-file", 0, OPT_SET, FIELD(action), "FILE", CTL_REMOVE_BY_FILE, 0,
		"remove the first export of FILE"},
	{"remove", 'r', OPT_SET, FIELD(action), "INDEX", CTL_REMOVE, 0,
		"remove the export with this index"},
	{"save", 0, OPT_SET, FIELD(action), NULL, CTL_SAVE, 0, "write the state file"},
	{"shutdown", 'd', OPT_SET, FIELD(action), NULL, CTL_SHUTDOWN, 0,
		"end the wrapper and all its servers"},
	{"orphan", 0, OPT_SET, FIELD(action), NULL, CTL_ORPHAN, 0,
		"end the wrapper, its servers go on until their clients leave"},
	{"add-proxy", 0, OPT_LATER, 0, NULL, 0, 0, "export a caching proxy (not built yet)"},
	{"target-exportname", 0, OPT_LATER, 0, "NAME", 0, 0,
		"export to ask the source for (not built yet)"},
	{"bgctl-query", 0, OPT_LATER, 0, NULL, 0, 0, "state of a proxy (not built yet)"},
	{"bgctl-switch", 0, OPT_LATER, 0, NULL, 0, 0, "turn a proxy into a target (not built yet)"},
	{"bgctl-cache-all", 0, OPT_LATER, 0, NULL, 0, 0,
		"fetch all of a proxy's blocks (not built yet)"},
	{"bgctl-reconnect", 0, OPT_LATER, 0, NULL, 0, 0,
		"give a proxy another source (not built yet)"},
	{"readonly", 0, OPT_FLAG, FIELD(readonly), NULL, 0, 0,
		"with --add-target, --add: export read-only"},
	{"description", 0, OPT_TEXT, FIELD(description), "TEXT", 0, 0,
		"with --add-target, --add: what clients are told of the export"},
	{"socket", 's', OPT_TEXT, FIELD(control), "PATH", 0, 0,
		"control socket (default " WRAPPER_DEFAULT_CONTROL ")"},
	{"json", 'j', OPT_FLAG, FIELD(json), NULL, 0, 0, "answer in JSON"},
	{"help", 'h', OPT_FLAG, FIELD(help), NULL, 0, 0, "show this text"},
	{"version", 'v', OPT_FLAG, FIELD(version), NULL, 0, 0, "show the version"},
};

const struct opt_set ctl_option_set = {
	.usage = "xnbd-wrapper-ctl [--socket PATH] COMMAND [ARGUMENT ...]",
	.about = "Controls a running xnbd-wrapper.",
	.rows = rows,
	.count = ARRAY_LEN(rows),
};
