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

/* worker_adopt.c; ends with a row without a name. */
extern const struct worker_command worker_adopt_commands[];
bool worker_has_master(const struct worker *w);
/* The control connection C has ended: it may have been the master's. */
void worker_master_gone(struct worker *w, const struct ctl_conn *c);

/* worker_proxy.c; ends with a row without a name. */
extern const struct worker_command worker_proxy_commands[];
/* SIGUSR2. */
void worker_switch(struct worker *w);
/* Its events are told to who is connected. */
void worker_watch_proxy(struct worker *w);
/* Does a copy run? Then the worker is not idle. */
bool worker_is_copying(struct worker *w);

/* worker_resize.c; ends with a row without a name. */
extern const struct worker_command worker_resize_commands[];
/* At the end: lanes have ended. */
void worker_end_resize(struct worker *w);

/* worker_rules.c; ends with a row without a name. */
extern const struct worker_command worker_rules_commands[];
/* The limits that are in force. */
void worker_add_limits(const struct worker *w, json_t *answer);
/* At the end: lanes have ended. */
void worker_end_orders(struct worker *w);

/* worker_stats.c; ends with a row without a name. */
extern const struct worker_command worker_stats_commands[];
/* C has ended and is about to leave the list of clients. */
void worker_count_gone(struct worker *w, struct conn *c);
/* Nobody waits for it any more. */
void worker_survey_forget(struct worker *w, const struct ctl_conn *c);
/* At the end: lanes have ended. */
void worker_end_surveys(struct worker *w);
/* What all clients did, but for times, as far as can be seen without asking the lanes. */
void worker_tally(const struct worker *w, struct tally *ret);
/* {"READ": 3, ...} */
json_t *worker_requests(const struct tally *t);

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
