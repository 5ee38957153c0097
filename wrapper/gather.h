/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The same questions to all servers that run, side by side: one that is silent holds up nobody, it
 * is without an answer in the end. No server is started for it.
 */
#ifndef WRAPPER_GATHER_H
#define WRAPPER_GATHER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct master;

enum { GATHER_MS = 3000 /* a server has for its answers */ };

struct gather_question {
	const char *key;   /* where the answer goes; a constant */
	json_t *request;   /* borrowed */
	bool proxies_only; /* others are not asked */
	bool starting_too; /* those that do not take questions yet, once they do */
};

/*
 * SERVERS is an array with an object for each process: "export" (name), "index", "pid", "mode",
 * "client_count", "state" ("running", "starting", "stopping", "no answer"), "error" (why, of the
 * last two at most) and the answers, each under its key. It is the caller's to change, not to keep.
 */
typedef void gather_fn(void *arg, json_t *servers);

/*
 * EXPORT_ID: 0 = all. FN is called exactly once, later, from the reactor or at the master's end.
 * 0, or -ENOMEM and FN is not called.
 */
int gather_start(struct master *m, uint32_t export_id, const struct gather_question *questions,
	size_t count, gather_fn *fn, void *arg);

/* At the end of the master, after relay_end_all(). */
void gather_end_all(struct master *m);

#endif
