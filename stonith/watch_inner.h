/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of the audit (watch.h), for nobody else. */
#ifndef STONITH_WATCH_INNER_H
#define STONITH_WATCH_INNER_H

#include "drive.h"
#include "lane.h"
#include "watch.h"
#include "watch_child.h"
#include "watch_find.h"
#include "watch_judge.h"
#include "watch_lock.h"

/* A node's outlets on one PDU. */
struct watch_part {
	struct config_node node; /* with these outlets only */
	const struct config_node *whole;
	size_t first; /* into watch.outlets */
	struct drive *drive;
};

enum watch_pdu_step { WATCH_IDLE, WATCH_HELLO, WATCH_TESTING, WATCH_NAMING };

struct watch_pdu {
	struct watch *watch;
	size_t index;
	struct lane *lane;
	struct watch_part *parts;
	size_t part_count;
	struct watch_judge_pdu facts;
	/* The round under way. */
	enum watch_pdu_step step;
	bool again;          /* another one was asked for */
	size_t part, outlet; /* the one at hand; OUTLET: of the part */
	unsigned tries;
	struct reactor_timer retry;
	uint64_t asked; /* ns */
	/* Of all rounds. */
	bool up;         /* at the end of the last one: it answers, as what it should be */
	uint64_t rtt_us; /* of the last answer; 0 = there was none yet */
	uint64_t finished, skipped;
	uint64_t finished_at; /* ms; 0 = never */
};

/* A node behind a proxy. */
struct watch_far {
	struct watch *watch;
	const struct config_node *node;
	size_t index; /* of the node */
	struct watch_child child;
	enum fence_power power;
	uint64_t finished;
};

struct watch_own {
	uint64_t off_since; /* ms; 0 = none is off */
	uint64_t not_before;
	unsigned fails;
	uint64_t done;     /* tries that succeeded */
	const char *state; /* for people */
	char why[SHOOT_TEXT_MAX];
	struct watch_child child;
};

struct watch {
	struct reactor *reactor;
	const struct config *config;
	const struct config_node *self;
	struct watch_find_table finds;
	struct watch_judge_outlet *outlets; /* of all nodes, in the configuration's order */
	size_t *first;                      /* of each node, into OUTLETS */
	struct watch_pdu *pdus;
	struct watch_far *fars;
	size_t far_count;
	struct watch_own own;
	struct watch_lock lock;
	struct reactor_timer tick, soon;
	struct reactor_task tell;
	struct lane_request request; /* here, as it is large */
	pid_t *left;                 /* killed processes of watches before, not waited for yet */
	size_t left_count;
	uint64_t audits, begun, over;
	uint64_t audit_at; /* ms: the last one began */
	void (*changed)(void *arg);
	void *arg;
};

/* watch_pdu.c. 0 or -ENOMEM; P is to be given to watch_pdu_done() in any case. */
int watch_pdu_init(struct watch_pdu *p, struct watch *w, size_t index);
void watch_pdu_done(struct watch_pdu *p);
/* AGAIN: if one is under way, another one is to follow. */
void watch_pdu_begin(struct watch_pdu *p, bool again);
/* NODE is being shot: a round that is under way on a PDU of it is given up. */
void watch_pdu_yield(struct watch_pdu *p, const struct config_node *node);

/* watch.c: a round is over. */
void watch_pdu_finished(struct watch_pdu *p);
/* Logs what begins or is over. */
void watch_tell(struct watch *w, struct watch_find *f, enum watch_find_verdict v, const char *text);

/* watch_own.c: after each round of a PDU. */
void watch_own_init(struct watch *w);
void watch_own_check(struct watch *w);

#endif
