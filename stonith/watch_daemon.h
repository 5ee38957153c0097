/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon around the audits (watch.h): control socket, signals, new configurations, and what the
 * service manager is told. Commands, as of lib/ctl.h and for root alone:
 *
 *	status      all of watch_status(), with pid, file of the configuration and its fault
 *	audit-now   begins one, and does not wait for it
 *	stop        ends the daemon
 */
#ifndef STONITH_WATCH_DAEMON_H
#define STONITH_WATCH_DAEMON_H

#include "ctl.h"
#include "notify.h"
#include "proc.h"
#include "watch.h"

enum { WATCH_DAEMON_FAULT_MAX = 512 };

struct watch_daemon {
	struct reactor reactor;
	struct ctl_server ctl;
	struct proc_signals signals;
	struct notify notify;
	const char *file; /* of the configuration; absolute */
	struct config *config;
	struct watch *watch;
	char *control;                      /* path of the socket */
	char fault[WATCH_DAEMON_FAULT_MAX]; /* why the last reload changed nothing; "" = it did */
	bool reload;                        /* as soon as nothing is being switched */
};

/* Reads the file, starts everything, begins the first audit. 0 or -errno, and then it was logged;
 * D is to be given to watch_daemon_done() in any case. */
int watch_daemon_init(struct watch_daemon *d, const char *file);
/* Until it is told to end. 0 or -errno. */
int watch_daemon_run(struct watch_daemon *d);
void watch_daemon_done(struct watch_daemon *d);

/* For --check: faults and warnings of FILE on stderr. 0 or -EINVAL. */
int watch_daemon_check(const char *file);

#endif
