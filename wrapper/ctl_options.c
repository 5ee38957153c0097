/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options of xnbd-wrapper-ctl; man/xnbd-wrapper-ctl.8 is compared with this table by a test. */
#include "options.h"

#include "config.h"
#include "util.h"

#include <stdio.h>
#include <string.h>

#define FIELD(name) offsetof(struct ctl_options, name)

static const struct opt rows[] = {
	{"list", 'l', OPT_SET, FIELD(action), NULL, CTL_LIST, 0, "show the exports"},
	{"status", 0, OPT_SET, FIELD(action), NULL, CTL_STATUS, 0,
		"show what the wrapper is doing"},
	{"stats", 0, OPT_SET, FIELD(action), NULL, CTL_STATS, 0,
		"show what the servers do, or that of NAME and of each of its clients"},
	{"metrics", 0, OPT_SET, FIELD(action), NULL, CTL_METRICS, 0,
		"show figures as Prometheus reads them"},
	{"log-level", 0, OPT_SET, FIELD(action), "LEVEL", CTL_LOG_LEVEL, 0,
		"log error, warn, info or debug from now on"},
	{"clients", 0, OPT_SET, FIELD(action), NULL, CTL_CLIENTS, 0,
		"show who is connected, to all exports or to NAME"},
	{"evict", 0, OPT_SET, FIELD(action), "NAME", CTL_EVICT, 0,
		"end the clients of NAME between requests"},
	{"add-target", 0, OPT_SET, FIELD(action), "NAME FILE", CTL_ADD_TARGET, 0,
		"export FILE as NAME"},
	{"add", 'a', OPT_SET, FIELD(action), "FILE", CTL_ADD, 0, "export FILE under its own path"},
	{"add-cow", 0, OPT_SET, FIELD(action), "NAME BASE", CTL_ADD_COW, 0,
		"export BASE as NAME, each client writes to a layer of its own"},
	{"add-proxy", 0, OPT_SET, FIELD(action), "NAME HOST PORT CACHE BITMAP CONTROL",
		CTL_ADD_PROXY, 0, "export a caching proxy (or NAME URI CACHE BITMAP CONTROL)"},
	{"remove-by-exportname", 0, OPT_SET, FIELD(action), "NAME", CTL_REMOVE_BY_NAME, 0,
		"remove the export NAME; its clients stay"},
	{"remove-by-file", 0, OPT_SET, FIELD(action), "FILE", CTL_REMOVE_BY_FILE, 0,
		"remove the first export of FILE"},
	{"remove", 'r', OPT_SET, FIELD(action), "INDEX", CTL_REMOVE, 0,
		"remove the export with this index"},
	{"reload", 0, OPT_SET, FIELD(action), NULL, CTL_RELOAD, 0,
		"read the configuration file again, and do what it says"},
	{"resize", 0, OPT_SET, FIELD(action), "NAME", CTL_RESIZE, 0,
		"serve NAME in the size its image has now"},
	{"save", 0, OPT_SET, FIELD(action), NULL, CTL_SAVE, 0, "write the state file"},
	{"shutdown", 'd', OPT_SET, FIELD(action), NULL, CTL_SHUTDOWN, 0,
		"end the wrapper and all its servers"},
	{"orphan", 0, OPT_SET, FIELD(action), NULL, CTL_ORPHAN, 0,
		"end the wrapper, its servers go on until their clients leave"},
	{"upgrade", 0, OPT_SET, FIELD(action), NULL, CTL_UPGRADE, 0,
		"make the wrapper another program, of a newer version; clients stay"},
	{"bgctl-query", 0, OPT_SET, FIELD(action), "NAME", CTL_QUERY, 0,
		"show the state of an export's server"},
	{"bgctl-cache-all", 0, OPT_SET, FIELD(action), "NAME", CTL_CACHE_ALL, 0,
		"start fetching all of a proxy's blocks in the background"},
	{"bgctl-switch", 0, OPT_SET, FIELD(action), "NAME", CTL_SWITCH, 0,
		"turn a complete proxy into a target; clients stay"},
	{"bgctl-reconnect", 0, OPT_SET, FIELD(action), "NAME HOST PORT", CTL_RECONNECT, 0,
		"give a proxy another origin (also NAME HOST PORT EXPORT, NAME URI)"},
	{"bgctl-pause", 0, OPT_SET, FIELD(action), "NAME", CTL_PAUSE, 0,
		"halt the background fetching"},
	{"bgctl-resume", 0, OPT_SET, FIELD(action), "NAME", CTL_RESUME, 0, "go on with it"},
	{"bgctl-verify", 0, OPT_SET, FIELD(action), "NAME", CTL_VERIFY, 0,
		"compare a proxy's cache with its origin"},
	{"snapshot", 0, OPT_SET, FIELD(action), "NAME", CTL_SNAPSHOT, 0,
		"take a snapshot and export it read-only"},
	{"snapshots", 0, OPT_SET, FIELD(action), NULL, CTL_SNAPSHOTS, 0,
		"show the snapshots of all exports, or of NAME"},
	{"drop-snapshot", 0, OPT_SET, FIELD(action), "NAME ID", CTL_DROP_SNAPSHOT, 0,
		"export it no longer; a complete one's file stays"},
	{"migrate-in", 0, OPT_SET, FIELD(action), "NAME URI", CTL_MIGRATE_IN, 0,
		"export NAME at once, fetch its data from URI, then switch"},
	{"migrate-abort", 0, OPT_SET, FIELD(action), "NAME", CTL_MIGRATE_ABORT, 0,
		"stop that; the export stays a proxy"},
	{"migrate-status", 0, OPT_SET, FIELD(action), NULL, CTL_MIGRATE_STATUS, 0,
		"show how far all migrations are, or that of NAME"},
	{"target-exportname", 0, OPT_TEXT, FIELD(exportname), "NAME", 0, 0,
		"with --add-proxy, --bgctl-reconnect: export to ask the origin for"},
	{"rate", 0, OPT_SIZE, FIELD(rate), "BYTES", 0, 1ULL << 50,
		"with --bgctl-cache-all, --migrate-in: at most so many a second"},
	{"force", 0, OPT_FLAG, FIELD(force), NULL, 0, 0,
		"with commands that end clients, shrink or lose data: do so"},
	{"when-idle", 0, OPT_FLAG, FIELD(when_idle), NULL, 0, 0,
		"with --reload, --remove: what is in use goes when its clients have left"},
	{"dry-run", 0, OPT_FLAG, FIELD(dry_run), NULL, 0, 0,
		"with --reload: show what would be done"},
	{"offline", 0, OPT_FLAG, FIELD(offline), NULL, 0, 0,
		"with --reload: only judge the file, without a running wrapper"},
	{"config", 0, OPT_TEXT, FIELD(config), "FILE", 0, 0,
		"with --offline: the file (default " CONFIG_DEFAULT ")"},
	{"client", 0, OPT_NUMBER, FIELD(client), "ID", 1, INT64_MAX,
		"with --evict: only the client with this number"},
	{"peer", 0, OPT_TEXT, FIELD(peer), "ADDRESS", 0, 0,
		"with --evict: only those from this address, network or user"},
	{"binary", 0, OPT_TEXT, FIELD(binary), "PATH", 0, 0,
		"with --upgrade: this xnbd-wrapper (default: its own file, as it is now)"},
	{"to", 0, OPT_TEXT, FIELD(to), "FILE", 0, 0, "with --snapshot: the file to write"},
	{"cache", 0, OPT_TEXT, FIELD(cache), "FILE", 0, 0,
		"with --migrate-in: where the data goes, a file or block device"},
	{"bitmap", 0, OPT_TEXT, FIELD(bitmap), "FILE", 0, 0,
		"with --migrate-in: what is there (default CACHE.bitmap)"},
	{"control", 0, OPT_TEXT, FIELD(proxy_control), "PATH", 0, 0,
		"with --migrate-in: the proxy's socket for xnbd-bgctl"},
	{"verify", 0, OPT_FLAG, FIELD(verify), NULL, 0, 0,
		"with --migrate-in: compare before the switch"},
	{"hook", 0, OPT_TEXT, FIELD(hook), "COMMAND", 0, 0,
		"with --migrate-in: run COMMAND NAME done|failed at the end"},
	{"readonly", 0, OPT_FLAG, FIELD(readonly), NULL, 0, 0,
		"with commands that add: export read-only"},
	{"set", 0, OPT_LIST, FIELD(set), "SETTING", 0, 0,
		"with commands that add: KEY=VALUE as in xnbd.conf, repeatable"},
	{"description", 0, OPT_TEXT, FIELD(description), "TEXT", 0, 0,
		"with commands that add: what clients are told of the export"},
	{"watch", 0, OPT_FLAG, FIELD(watch), NULL, 0, 0,
		"with --stats: show what changes, until interrupted"},
	{"interval", 0, OPT_NUMBER, FIELD(interval), "SECONDS", 1, 3600,
		"with --watch: so often (default 2)"},
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

enum ctl_action ctl_action_of_word(const char *word)
{
	char longer[64];

	snprintf(longer, sizeof(longer), "bgctl-%s", word);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].kind == OPT_SET &&
			(strcmp(rows[i].name, word) == 0 || strcmp(rows[i].name, longer) == 0))
			return (enum ctl_action)rows[i].min;
	}
	return CTL_NONE;
}
