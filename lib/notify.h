/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tells the service manager how we are, by the protocol of sd_notify(3): datagrams of NAME=VALUE
 * lines to the socket that NOTIFY_SOCKET names. Without one all of this does nothing.
 */
#ifndef LIB_NOTIFY_H
#define LIB_NOTIFY_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "err.h"

struct notify {
	int fd; /* -1 = nobody wants to know */
	struct sockaddr_un address;
	socklen_t address_len;
};

/*
 * Takes NOTIFY_SOCKET ("/path" or "@abstract") out of the environment, so that no child speaks for
 * us. -EINVAL with a line for one that is neither; then, too, the rest does nothing.
 */
int notify_init(struct notify *n, struct err *err);
/* Puts it back, for what takes our place by exec. */
void notify_restore(const struct notify *n);
/* And takes it out again, if that came to nothing. */
void notify_hide(void);
void notify_done(struct notify *n);

bool notify_wanted(const struct notify *n);

/* The service is up, or up again after notify_reloading(); this process is its main one. */
void notify_ready(const struct notify *n, const char *status);
/* A reload begins; notify_ready() must follow, however it ends. */
void notify_reloading(const struct notify *n);
void notify_stopping(const struct notify *n, const char *status);

/* STATUS is one line for people. Never waits: if the manager is busy, it is told nothing. */
void notify_status(const struct notify *n, const char *status);

#endif
