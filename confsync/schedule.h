/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When the daemon does what. Pure: events and times come in, jobs go out, one at a time. All times
 * are ms of a monotonic clock.
 *
 * A change of files is followed by a quick scan when nothing has changed for `settle`, or 10 times
 * that after the first change. If the scan finds something that is not known yet, a conversation
 * with the peer follows at once. All sets that are not waiting for something else are looked at
 * together every `interval`, which is a conversation too; each is read in full every
 * `scan_interval`. What failed is tried again after 5, 10, 20 ... 300 s, and not between; but at
 * once when its files change, and when it failed as the peer was not reached and the peer is there
 * again.
 */
#ifndef CONFSYNC_SCHEDULE_H
#define CONFSYNC_SCHEDULE_H

#include "config.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	SCHEDULE_SETTLE_MAX = 10,  /* times `settle` */
	SCHEDULE_BLIND_MS = 10000, /* between scans when changes are not noticed */
	SCHEDULE_RETRY_MS = 5000,
	SCHEDULE_RETRY_MAX_MS = 300000,
};
#define SCHEDULE_NEVER UINT64_MAX

/* In the order of what has precedence over what, the least first. */
enum schedule_kind {
	SCHEDULE_NOTHING,
	SCHEDULE_SCAN, /* quick, without the peer */
	SCHEDULE_SYNC, /* conversation; it begins with a quick scan */
	SCHEDULE_FULL, /* the same with a full scan */
};

struct schedule_job {
	enum schedule_kind kind;
	uint64_t sets; /* bit I: set I of the configuration */
	uint64_t at;   /* of NOTHING: ask again then; SCHEDULE_NEVER */
};

enum schedule_outcome {
	SCHEDULE_SAME,      /* of a scan: in step, or as it was already */
	SCHEDULE_DIFFERS,   /* of a scan */
	SCHEDULE_DONE,      /* of a conversation; also if it is for people to go on */
	SCHEDULE_FAILED,    /* of both: to be tried again */
	SCHEDULE_UNREACHED, /* of a conversation */
};

struct schedule_rules {
	uint64_t settle, interval, scan_interval; /* ms */
};

struct schedule_set {
	bool used;            /* not local */
	bool changed;         /* since the last job began */
	uint64_t since, last; /* first and last change */
	bool wanted;          /* a conversation, at once */
	unsigned failures;    /* in a row; 0: not waiting for another attempt */
	bool unreached;       /* the last one: the peer was not reached */
	uint64_t retry_at, full_at, blind_at;
};

struct schedule {
	struct schedule_rules rules;
	size_t count;
	struct schedule_set sets[CONFIG_SETS_MAX];
	uint64_t look_at;
	bool blind;
	struct schedule_job job; /* under way */
	uint64_t open;           /* its sets whose outcome is not known yet */
};

/* A conversation about all of USED is due at once. */
void schedule_init(
	struct schedule *s, const struct schedule_rules *rules, uint64_t used, uint64_t now);

void schedule_changed(struct schedule *s, uint64_t sets, uint64_t now);
/* Changes are noticed by chance only, from now on or no more. */
void schedule_blind(struct schedule *s, bool blind, uint64_t now);
/* Somebody wants it. */
void schedule_now(struct schedule *s, uint64_t sets);
/* The peer is there. */
void schedule_peer(struct schedule *s, uint64_t sets);

/* What is to be done now; with another kind than NOTHING it is under way, until schedule_over().
 * Nothing else is begun while it is. */
struct schedule_job schedule_next(struct schedule *s, uint64_t now);
/* How it went with a set of the job under way. */
void schedule_outcome(struct schedule *s, size_t set, enum schedule_outcome outcome, uint64_t now);
/* The job has ended; sets without an outcome have failed. */
void schedule_over(struct schedule *s, uint64_t now);
bool schedule_is_busy(const struct schedule *s);

#endif
