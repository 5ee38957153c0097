/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `xnbd-confsync daemon`: keeps all sets in step by itself. In the foreground, says how it is to
 * the service manager. Signals: SIGHUP reads the configuration again (a faulty one is refused and
 * the old one stays), SIGTERM ends it, after what it is doing, or after 30 s.
 *
 * It listens at the control socket (key `control`), one JSON object a line (lib/ctl.h):
 *
 *	{"cmd": "status"}
 *	{"cmd": "sync-now", "sets": ["a"]}     sets: optional, all else
 *	{"cmd": "stop"}
 */
#ifndef CONFSYNC_DAEMON_H
#define CONFSYNC_DAEMON_H

#include "config.h"

/* C was read from CONFIG_PATH and stays the caller's. Until a signal; an exit status. */
int daemon_run(const struct config *c, const char *config_path);

#endif
