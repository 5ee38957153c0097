/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between worker*.c alone; others see worker.h. */
#ifndef SERVER_WORKER_INNER_H
#define SERVER_WORKER_INNER_H

#include "errand.h"
#include "worker.h"

/* A row of control commands. FD is -1 or the callee's. */
struct worker_command {
	const char *name;
	void (*fn)(struct worker *w, struct ctl_conn *c, json_t *msg, int fd);
};

/* worker_proxy.c; ends with a row without a name. */
extern const struct worker_command worker_proxy_commands[];
/* SIGUSR2. */
void worker_switch(struct worker *w);
/* Its events are told to who is connected. */
void worker_watch_proxy(struct worker *w);
/* Does a copy run? Then the worker is not idle. */
bool worker_is_copying(struct worker *w);

/* worker_snapshot.c; ends with a row without a name. */
extern const struct worker_command worker_snapshot_commands[];
/* SIGUSR1. */
void worker_snapshot(struct worker *w);
json_t *worker_snapshots(struct worker *w);
bool worker_is_saving(struct worker *w);
/* One that clients may ask for: by id, 0 = the newest; NULL = none. */
struct snapshot *worker_find_snapshot(struct worker *w, uint64_t id);
/* The one at INDEX among these; NULL = no more. */
struct snapshot *worker_snapshot_at(struct worker *w, size_t index);
/* A client of it has gone. */
void worker_leave_snapshot(struct snapshot *s);
/* At the end: lanes have ended. */
void worker_end_snapshots(struct worker *w);

#endif
