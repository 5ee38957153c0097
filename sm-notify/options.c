/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options of sm-notify: the letters of the reference, long names for each, and what is new; the
 * page in man/ is compared with this table by a test. Rows without a help text are for tests.
 */
#include "options.h"

#include "settings.h"
#include "util.h"

#include <errno.h>
#include <string.h>

#define FIELD(name) offsetof(struct options, name)

enum { MINUTES_MAX = 1000000, SECONDS_MAX = 86400, PORT_MAX = 65535 };

static const struct opt rows[] = {
	{"debug", 'd', OPT_FLAG, FIELD(debug), NULL, 0, 0,
		"stay in the foreground, log everything to stderr"},
	{"foreground", 0, OPT_FLAG, FIELD(foreground), NULL, 0, 0,
		"stay in the foreground, log to stderr"},
	{"force", 'f', OPT_FLAG, FIELD(force), NULL, 0, 0, "notify even if it was done since boot"},
	{"retry-time", 'm', OPT_NUMBER, FIELD(retry_minutes), "MINUTES", 0, MINUTES_MAX,
		"keep trying for so long (default 15, 0 = for ever)"},
	{"no-update-state", 'n', OPT_FLAG, FIELD(no_update_state), NULL, 0, 0,
		"do not change the state number"},
	{"outgoing-port", 'p', OPT_NUMBER, FIELD(outgoing_port), "PORT", 1, PORT_MAX,
		"send from this port (default: a reserved one)"},
	{"state-directory-path", 'P', OPT_TEXT, FIELD(directory), "FOLDER", 0, 0,
		"where sm, sm.bak and state are (default " SETTINGS_DIRECTORY ")"},
	{"outgoing-addr", 'v', OPT_TEXT, FIELD(outgoing_addr), "NAME", 0, 0,
		"send from this host or address, and in its name"},
	{"my-name", 0, OPT_TEXT, FIELD(outgoing_addr), "NAME", 0, 0, "the same as --outgoing-addr"},
	{"lift-grace", 0, OPT_SET, FIELD(lift_grace), NULL, OPTIONS_YES, 0,
		"end lockd's grace period if there is nobody to notify"},
	{"no-lift-grace", 0, OPT_SET, FIELD(lift_grace), NULL, OPTIONS_NO, 0,
		"do not (default: do)"},
	{"no-kernel-state", 0, OPT_FLAG, FIELD(no_kernel_state), NULL, 0, 0,
		"do not tell lockd the state number"},
	{"no-consume", 0, OPT_FLAG, FIELD(no_consume), NULL, 0, 0,
		"leave all records where they are"},
	{"list", 0, OPT_FLAG, FIELD(list), NULL, 0, 0, "show the records and end"},
	{"dry-run", 0, OPT_FLAG, FIELD(dry_run), NULL, 0, 0,
		"show who would be notified how, and end"},
	{"json", 0, OPT_FLAG, FIELD(json), NULL, 0, 0,
		"show a summary at the end, or the list, in JSON"},
	{"config", 0, OPT_TEXT, FIELD(config), "FILE", 0, 0,
		"read FILE and FILE.d instead of /etc/nfs.conf"},
	{"help", 'h', OPT_FLAG, FIELD(help), NULL, 0, 0, "show this text"},
	{"version", 'V', OPT_FLAG, FIELD(version), NULL, 0, 0, "show the version"},
	{"retry-seconds", 0, OPT_NUMBER, FIELD(retry_seconds), "SECONDS", 0, SECONDS_MAX, NULL},
	{"rpcbind-port", 0, OPT_NUMBER, FIELD(rpcbind_port), "PORT", 1, PORT_MAX, NULL},
	{"run-dir", 0, OPT_TEXT, FIELD(run_dir), "FOLDER", 0, 0, NULL},
	{"proc-root", 0, OPT_TEXT, FIELD(proc_root), "FOLDER", 0, 0, NULL},
};

const struct opt_set options_set = {
	.usage = "sm-notify [OPTION ...]",
	.about = "Tells NFS peers that this host has rebooted, so that they reclaim their locks.",
	.rows = rows,
	.count = ARRAY_LEN(rows),
};

static int check_texts(const struct options *o, struct err *err)
{
	const struct {
		const char *name, *text;
	} texts[] = {
		{"--state-directory-path", o->directory},
		{"--outgoing-addr", o->outgoing_addr},
		{"--config", o->config},
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (texts[i].text && !*texts[i].text)
			return err_set(err, EINVAL, "%s: the argument is empty", texts[i].name);
	}
	return 0;
}

int options_parse(struct options *o, int argc, char **argv, struct err *err)
{
	int rest;

	*o = (struct options){.retry_minutes = UINT64_MAX, .retry_seconds = UINT64_MAX};
	if (opt_parse(&options_set, argc, argv, o, &rest, err) < 0)
		return -EINVAL;
	if (rest < argc)
		return err_set(err, EINVAL, "%.100s: unexpected argument (see --help)", argv[rest]);
	if (o->list && o->dry_run)
		return err_set(err, EINVAL, "--list and --dry-run exclude each other");
	if (o->json && !(o->list || o->dry_run || o->foreground || o->debug))
		return err_set(err, EINVAL,
			"--json goes with --list, --dry-run, --foreground or --debug: in the "
			"background there is nowhere to write to");
	return check_texts(o, err);
}
