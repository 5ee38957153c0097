/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GET /metrics by HTTP, for Prometheus. There is no authentication: the address decides who gets
 * there. All in the master's reactor; a client that is slow, or sends anything else, costs one of
 * METRICS_HTTP_CLIENTS places for METRICS_HTTP_MS at most, and the master no wait.
 */
#ifndef WRAPPER_METRICS_HTTP_H
#define WRAPPER_METRICS_HTTP_H

#include "err.h"
#include "sock.h"

struct master;
struct metrics_http;

enum {
	METRICS_HTTP_CLIENTS = 32,
	METRICS_HTTP_MS = 15 * 1000, /* from accept to the end */
	METRICS_HTTP_FRESH_MS = 250, /* who asks again so soon gets the same figures */
};

/*
 * PLACE as listen_parse() takes it, no path. GIVEN, if there are any: sockets that listen there
 * already; taken if it returns 0. 0, or -errno and why.
 */
int metrics_http_start(struct master *m, const char *place, const struct sock_list *given,
	struct metrics_http **ret, struct err *err);
/* What it listens on. NULL of NULL. */
const struct sock_list *metrics_http_sockets(const struct metrics_http *h);
/* Before gather_end_all(), which figures still under way need. NULL is fine. */
void metrics_http_end(struct metrics_http *h);

#endif
