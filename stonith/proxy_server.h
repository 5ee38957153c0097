/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One conversation with a caller of the proxy (proxy_main.h).
 *
 * Takes one request (proxy_wire.h), does what section `caller` and the policy allow, answers.
 * Whatever else comes is refused, logged, and put into the audit log; requests and refusals are
 * counted across processes, so that nobody can wear out relays or fill the disk. Once begun a shot
 * goes on, even if the caller is gone.
 */
#ifndef STONITH_PROXY_SERVER_H
#define STONITH_PROXY_SERVER_H

#include "config.h"
#include "proxy_origin.h"
#include "reactor.h"

enum {
	PROXY_SERVER_WAIT = 10000,   /* ms for the whole request */
	PROXY_SERVER_MARGIN = 500,   /* ms before the caller's deadline that we have to be done */
	PROXY_SERVER_LEAST = 1000,   /* ms a caller has to have */
	PROXY_SERVER_SHOTS = 600000, /* ms in which a caller has its `rate` of shots ... */
	PROXY_SERVER_ASKS = 60000,   /* ... and in which it may ask this often for the status, */
	PROXY_SERVER_ASKS_MAX = 60,
	PROXY_SERVER_REFUSALS_MAX = 20, /* or be refused with a line in the audit log */
};

struct proxy_server {
	const struct config *config;
	const struct config_caller *caller;
	struct reactor *reactor;
	struct proxy_origin origin;
	int in, out;
};

/* One request. 0: done and verified. -EPERM: refused. Other -errno: it is not certain. */
int proxy_server_run(struct proxy_server *s);

#endif
