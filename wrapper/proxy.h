/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the master does for proxies: keeps their entries true (another origin, turned into a
 * target) and sees to it that a copy that was asked for goes on, whatever server or wrapper dies.
 */
#ifndef WRAPPER_PROXY_H
#define WRAPPER_PROXY_H

#include "exports.h"

struct master;
struct worker;

/* At the start: servers for the copies that were under way. */
void proxy_start_copies(struct master *m);

/*
 * The copy is wanted from now on, at most RATE bytes/s (0 = no limit); saved. Unless its server was
 * TOLD, it is started and told as soon as that can be, again and again. Twice is harmless.
 */
void proxy_copy_start(struct master *m, uint32_t id, uint64_t rate, bool told);
/* It is not wanted (NONE) or only later (PAUSED); saved. Tells no server. */
void proxy_copy_set(struct master *m, uint32_t id, enum export_copy copy);

/* Its server says it is a target now; heard from several sides, acted on once. */
void proxy_switched(struct master *m, uint32_t id);
/* Its server is connected to this origin now. */
void proxy_reconnected(struct master *m, uint32_t id, const struct export_config *origin);

/* From the worker. */
void proxy_worker_ready(struct worker *w);
void proxy_worker_gone(struct worker *w);
void proxy_copy_event(struct worker *w, json_t *msg);

#endif
