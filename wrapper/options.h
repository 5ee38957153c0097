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
	bool readonly, direct, cow, daemonize, syslog, help, version;
	uint64_t max_queue_size, max_buf_size; /* handed to every xnbd-server */
	uint64_t max_clients, max_clients_per_peer;
	uint64_t busy_poll;     /* us, handed on */
	const char *engine;     /* handed on, NULL = not given */
	uint64_t negotiator_fd; /* UINT64_MAX = none: this process is the master */
};

extern const struct opt_set wrapper_option_set;
void wrapper_options_default(struct wrapper_options *o);
int wrapper_options_check(const struct wrapper_options *o, int operands, struct err *err);

enum ctl_action {
	CTL_NONE,
	CTL_LIST,
	CTL_STATUS,
	CTL_ADD,
	CTL_ADD_TARGET,
	CTL_ADD_COW,
	CTL_ADD_PROXY,
	CTL_REMOVE,
	CTL_REMOVE_BY_NAME,
	CTL_REMOVE_BY_FILE,
	CTL_SAVE,
	CTL_SHUTDOWN,
	CTL_ORPHAN,
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
	uint64_t rate; /* bytes/s, 0 = no limit */
	bool json, readonly, force, verify, help, version;
};

/*
 * A command may be written without dashes, as the first operand: "migrate-status" for
 * --migrate-status, "query" for --bgctl-query. CTL_NONE: WORD is none.
 */
enum ctl_action ctl_action_of_word(const char *word);

extern const struct opt_set ctl_option_set;

#endif
