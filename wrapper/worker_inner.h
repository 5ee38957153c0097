/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between worker*.c and adopt*.c only. */
#ifndef WRAPPER_WORKER_INNER_H
#define WRAPPER_WORKER_INNER_H

#include "worker.h"

enum { WORKER_START_MS = 10 * 1000, WORKER_PROXY_START_MS = 30 * 1000, WORKER_STOP_MS = 15 * 1000 };

extern const struct ctl_ops worker_ops;

/* It says what it serves (MSG): from now on it takes clients. False: it does not say so. */
bool worker_ready(struct worker *w, json_t *msg);
/* One that it has already, with the number and the time that CLIENT (copied) has. */
void worker_take_client(struct worker *w, const struct client *client);
/* Who waits for it is refused, clients with TEXT. */
void worker_give_up(struct worker *w, const char *text);
/* The watch of its pidfd. */
void worker_process_ended(struct reactor_watch *watch, uint32_t happened);

/* It did not start: the clients who wait hear why. Before worker_leave(). */
void worker_failed(struct worker *w);
/* It takes no more clients and commands. May be called again. */
void worker_leave(struct worker *w);
/* It ended, or does not start, though nobody told it to: WHY, for people. */
void worker_note_failure(const struct worker *w, const char *why);
/* Its deadline. */
void worker_too_late(struct reactor_timer *t);

/* The one before has been reaped: starts the one that waited for that, if any, now or after a
 * while.
 */
void worker_launch_held(struct master *m, uint32_t export_id);

#endif
