/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All that can be counted of the wrapper and its servers, as one JSON object: what `stats` answers
 * with and what metrics.h writes down. Keys: "version", "pid", "began" (s of the epoch), "exports",
 * "clients" (numbers), "snapshots" (name of an export to number, without 0), "processes" (array:
 * "process", "pid", "rss" bytes, "cpu" seconds) and "servers", those of gather.h with "stats" and,
 * of proxies, "query" as the servers answered them, "rss" and "cpu".
 */
#ifndef WRAPPER_FIGURES_H
#define WRAPPER_FIGURES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct master;

/* FIGURES is the callee's to json_decref(). */
typedef void figures_fn(void *arg, json_t *figures);

/*
 * EXPORT_ID: servers of this one only, 0 = all. CLIENTS: each client's counts, too. FN is called
 * exactly once, later. 0, or -ENOMEM and FN is not called.
 */
int figures_ask(struct master *m, uint32_t export_id, bool clients, figures_fn *fn, void *arg);

#endif
