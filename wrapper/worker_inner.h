/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between worker.c and worker_launch.c only. */
#ifndef WRAPPER_WORKER_INNER_H
#define WRAPPER_WORKER_INNER_H

#include "worker.h"

enum { WORKER_START_MS = 10 * 1000, WORKER_PROXY_START_MS = 30 * 1000, WORKER_STOP_MS = 15 * 1000 };

extern const struct ctl_ops worker_ops;

/* It did not start: the clients who wait hear why. Before worker_leave(). */
void worker_failed(struct worker *w);
/* It takes no more clients and commands. May be called again. */
void worker_leave(struct worker *w);
/* Its deadline. */
void worker_too_late(struct reactor_timer *t);

/* The one before has been reaped: starts the one that waited for that, if any. */
void worker_launch_held(struct master *m, uint32_t export_id);

#endif
