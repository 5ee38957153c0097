/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One question to an export's server and its answer, over a connection of its own: the master's
 * connection to the server hands over clients and must never wait behind a slow answer. If the
 * export has no server one is started, and the question goes out when it is ready.
 */
#ifndef WRAPPER_RELAY_H
#define WRAPPER_RELAY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "err.h"

struct master;
struct worker;
struct relay;

enum {
	RELAY_MS = 30 * 1000,       /* for all of it, the server's start too */
	RELAY_LONG_MS = 120 * 1000, /* switch, verify, reconnect, snapshot */
};

/*
 * ANSWER is what the server said, with "ok" true or false; it stays the caller's. NULL: there was
 * none, and ERR says why.
 */
typedef void relay_fn(void *arg, json_t *answer, const struct err *err);

/*
 * REQUEST is taken. FN is called exactly once, later, from the reactor or from relay_end_all().
 * NULL, and FN is not called: no server could be started, out of memory, or the master is ending.
 */
struct relay *relay_start(struct master *m, uint32_t export_id, json_t *request,
	unsigned timeout_ms, relay_fn *fn, void *arg);
/* FN is not called any more. What was sent is carried out all the same. */
void relay_cancel(struct relay *r);

/* Is something under way to this export's server? Then it must not be ended for being idle. */
bool relay_busy(const struct master *m, uint32_t export_id);

/* From the worker: it takes commands now; it will never take any. */
void relay_worker_ready(struct worker *w);
void relay_worker_failed(struct worker *w);

/* At the end of the master: each one under way gets ECANCELED. */
void relay_end_all(struct master *m);

/* Why it was refused or not answered, for people. */
const char *relay_error(json_t *answer, const struct err *err);

#endif
