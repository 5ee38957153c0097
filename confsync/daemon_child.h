/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process of the daemon's own for a job (daemon_work.h), a copy of it that ends with it. It has
 * ended when the kernel says so, not when it has said so: one that hangs in a disk is killed when
 * it is late, and no other begins before it is gone.
 */
#ifndef CONFSYNC_DAEMON_CHILD_H
#define CONFSYNC_DAEMON_CHILD_H

#include "daemon_work.h"
#include "reactor.h"

struct daemon_child {
	struct reactor *reactor;
	pid_t pid;                         /* 0 = none */
	struct reactor_watch reports, end; /* a pipe; the process */
	struct reactor_timer late;
	uint64_t deadline; /* ms, for messages */
	bool killed;
	void (*report)(struct daemon_child *c, const struct daemon_report *r);
	/* WHY: it did not end as it should; NULL = it did. */
	void (*over)(struct daemon_child *c, const char *why);
};

void daemon_child_init(struct daemon_child *c, struct reactor *r,
	void (*report)(struct daemon_child *c, const struct daemon_report *r),
	void (*over)(struct daemon_child *c, const char *why));
/* Kills it; nothing more is called. */
void daemon_child_done(struct daemon_child *c);
/* 0 or -errno. Nothing is called by this. */
int daemon_child_start(
	struct daemon_child *c, const struct config *config, const struct schedule_job *job);
bool daemon_child_is_running(const struct daemon_child *c);
/* It gets MS more at most. */
void daemon_child_hurry(struct daemon_child *c, uint64_t ms);

#endif
