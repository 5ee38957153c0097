/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command lines of xnbd-wrapper and xnbd-wrapper-ctl as tables. */
#ifndef WRAPPER_OPTIONS_H
#define WRAPPER_OPTIONS_H

#include "opt.h"

#include <stdbool.h>

#define WRAPPER_DEFAULT_CONTROL "/run/xnbd/wrapper.ctl"
#define WRAPPER_DEFAULT_STATE   "/var/lib/xnbd/xnbd.state"

struct wrapper_options {
	struct opt_list imgfiles;
	struct opt_list laddr;
	struct opt_list sockets; /* unix, for clients */
	uint64_t lport;
	const char *control; /* control socket */
	const char *server;  /* xnbd-server, NULL = beside us or in PATH */
	const char *config, *dbpath, *logpath;
	const char *bgctl;   /* taken for old command lines, not used */
	const char *cow_dir; /* folder of the layers, NULL = the server's own choice */
	bool readonly, direct, cow, daemonize, syslog, journal, help, version;
	const char *log_level;                 /* handed on */
	uint64_t max_queue_size, max_buf_size; /* handed to every xnbd-server */
	uint64_t max_clients, max_clients_per_peer;
	uint64_t busy_poll;     /* us, handed on */
	const char *engine;     /* handed on, NULL = not given */
	uint64_t negotiator_fd; /* UINT64_MAX = none: this process is the master */
	bool check, dump;       /* look at the configuration only */
	bool upgrade_check;     /* the same, by the wrapper that would become this program */
	/* Of the configuration file, by settings.c. */
	struct opt_list listen; /* for listen_parse(), instead of laddr, lport and sockets */
	const char *run_folder; /* for the sockets of servers */
	const char *user, *group, *control_group; /* NULL = not given */
	uint64_t handshake_timeout, idle_timeout; /* s; idle: 0 = never, handed on */
	uint64_t poll_sizes;                      /* s, 0 = never */
	const char *metrics;                      /* NULL = none */
};

extern const struct opt_set wrapper_option_set;
void wrapper_options_default(struct wrapper_options *o);
int wrapper_options_check(const struct wrapper_options *o, int operands, struct err *err);

enum ctl_action {
	CTL_NONE,
	CTL_LIST,
	CTL_STATUS,
	CTL_STATS,
	CTL_METRICS,
	CTL_LOG_LEVEL,
	CTL_CLIENTS,
	CTL_EVICT,
	CTL_ADD,
	CTL_ADD_TARGET,
	CTL_ADD_COW,
	CTL_ADD_PROXY,
	CTL_REMOVE,
	CTL_REMOVE_BY_NAME,
	CTL_REMOVE_BY_FILE,
	CTL_RELOAD,
	CTL_RESIZE,
	CTL_SAVE,
	CTL_SHUTDOWN,
	CTL_ORPHAN,
	CTL_UPGRADE,
	CTL_QUERY,
	CTL_CACHE_ALL,
	CTL_SWITCH,
	CTL_RECONNECT,
	CTL_PAUSE,
	CTL_RESUME,
	CTL_VERIFY,
	CTL_SNAPSHOT,
	CTL_SNAPSHOTS,
	CTL_DROP_SNAPSHOT,
	CTL_MIGRATE_IN,
	CTL_MIGRATE_ABORT,
	CTL_MIGRATE_STATUS,
	CTL_ACTIONS
};

struct ctl_options {
	int action; /* enum ctl_action */
	const char *control;
	const char *description;
	const char *exportname;                     /* of the origin, with host and port */
	const char *to;                             /* snapshot file */
	const char *cache, *bitmap, *proxy_control; /* files of migrate-in */
	const char *hook;
	const char *binary;  /* of the wrapper */
	uint64_t rate;       /* bytes/s, 0 = no limit */
	uint64_t client;     /* 0 = not given */
	const char *peer;    /* whom to evict */
	struct opt_list set; /* KEY=VALUE */
	uint64_t interval;   /* s, 0 = not given */
	bool watch;
	const char *config; /* to judge offline */
	bool when_idle, dry_run, offline;
	bool json, readonly, force, verify, help, version;
};

/*
 * A command may be written without dashes, as the first operand: "migrate-status" for
 * --migrate-status, "query" for --bgctl-query. CTL_NONE: WORD is none.
 */
enum ctl_action ctl_action_of_word(const char *word);

extern const struct opt_set ctl_option_set;

#endif
