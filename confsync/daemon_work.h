/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A job of the daemon, carried out: scans, conversations, hooks. It waits for disks, the peer and
 * commands, so it is done by a process of its own (daemon_child.h), which writes a report for each
 * set as soon as it has one.
 */
#ifndef CONFSYNC_DAEMON_WORK_H
#define CONFSYNC_DAEMON_WORK_H

#include "config.h"
#include "plan.h"
#include "schedule.h"

struct daemon_report {
	uint32_t set;            /* index in the configuration */
	bool talked;             /* with the peer, or tried to: not of a scan */
	bool reached;            /* the peer */
	bool frozen;             /* `hold add` */
	bool done;               /* of a conversation: a plan was carried out */
	bool in_step;            /* files, generation and what is known of the peer are the same */
	int code;                /* 0 or -errno and text */
	struct plan plan;        /* of a conversation */
	struct plan_side me;     /* as it is afterwards */
	uint64_t changed, bytes; /* files sent or received */
	char text[ERR_TEXT_MAX]; /* of `code`; more about the plan; why the peer was not reached */
};

/* Writes to FD. 0 or -errno: nobody reads. */
int daemon_work(const struct config *c, const struct schedule_job *job, int fd);
/* ms within which it should be over, with long files and hooks that take all of their time. */
uint64_t daemon_work_deadline(const struct config *c, const struct schedule_job *job);

#endif
