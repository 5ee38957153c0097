/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the service manager, as a rule systemd, is told of the wrapper (notify.h): that it is ready,
 * reloads, ends, and in a line for people how busy it is. Without a manager nothing happens.
 */
#ifndef WRAPPER_SERVICE_H
#define WRAPPER_SERVICE_H

#include "notify.h"
#include "reactor.h"

struct master;

struct service {
	struct notify notify;
	struct reactor_timer timer; /* for the next line */
	char told[96];              /* the last one */
};

/* Before any child is started: NOTIFY_SOCKET is not for them. */
void service_init(struct master *m);
void service_done(struct master *m);

/* Everything is served; also at the end of a reload, whether it worked or not. */
void service_ready(struct master *m);
void service_reloading(struct master *m);
void service_stopping(struct master *m, const char *why);
/* Before this process becomes another xnbd-wrapper by exec, which is told by the environment. */
void service_hand_on(struct master *m);
/* That has failed. */
void service_take_back(struct master *m);

#endif
