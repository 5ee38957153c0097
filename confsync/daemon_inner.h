/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of daemon.h share. */
#ifndef CONFSYNC_DAEMON_INNER_H
#define CONFSYNC_DAEMON_INNER_H

#include "ctl.h"
#include "daemon_child.h"
#include "notify.h"
#include "proc.h"
#include "schedule.h"
#include "watch.h"

enum daemon_situation {
	DAEMON_UNKNOWN, /* not looked at yet */
	DAEMON_IN_STEP,
	DAEMON_PENDING, /* waits for the peer */
	DAEMON_WAITS,   /* for people, or for another role: `why` of the plan */
	DAEMON_HELD,    /* both changed it */
	DAEMON_FROZEN,  /* `hold add` */
	DAEMON_FAILED,
	DAEMON_SITUATIONS,
};

struct daemon_set {
	enum daemon_situation situation;
	struct daemon_report last; /* of a conversation; `me` is also what the next scan finds */
	bool known;                /* there was one */
	char text[ERR_TEXT_MAX];   /* for people; "" = nothing to say */
	uint64_t transactions, changed, at; /* files; ms: when it came to be so */
};

enum daemon_reached { DAEMON_NOT_TRIED, DAEMON_REACHED, DAEMON_NOT_REACHED };

struct daemon {
	const char *file;
	const struct config *config;
	struct config *own; /* config, if it is not the one we were started with */
	struct reactor reactor;
	struct proc_signals signals;
	struct notify notify;
	struct ctl_server ctl;
	char *control;
	struct watch watch;
	struct schedule schedule;
	struct schedule_job job; /* that the child does */
	struct daemon_child child;
	struct reactor_timer wake;
	struct daemon_set sets[CONFIG_SETS_MAX];
	enum daemon_reached reached;
	char unreached[ERR_TEXT_MAX]; /* why */
	int role;                     /* 1 active, 0 not, -1 not known */
	int lost;                     /* watch_lost(), as it was told */
	bool fresh;                   /* no job has ended since the configuration was read */
	bool reload, stopping, overflow_told;
	bool met;                 /* the peer, in the job under way */
	char fault[ERR_TEXT_MAX]; /* of a configuration that was refused */
	uint64_t jobs[SCHEDULE_FULL + 1];
};

/* daemon_view.c: what reports mean */

/* Takes a report in: logs what is new. */
void daemon_view_take(struct daemon *d, const struct daemon_report *r);
enum schedule_outcome daemon_view_outcome(const struct daemon *d, const struct daemon_report *r);
/* A job has ended that talked, or tried to, and this is why it came to nothing; NULL = it did not.
 */
void daemon_view_peer(struct daemon *d, bool reached, const char *why);
void daemon_view_failed(struct daemon *d, size_t set, const char *why);
const char *daemon_view_name(enum daemon_situation s);
/* One line for the service manager. */
void daemon_view_line(const struct daemon *d, char *ret, size_t room);
uint64_t daemon_view_used(const struct config *c);

/* daemon_ctl.c: the control socket */

int daemon_ctl_init(struct daemon *d, struct err *err);
void daemon_ctl_done(struct daemon *d);

/* daemon.c */

void daemon_sync_now(struct daemon *d, uint64_t sets);
void daemon_stop(struct daemon *d);

#endif
