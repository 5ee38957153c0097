/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A peer's plan without a peer: steps as text, call numbers drawn, time as a number. Steps read
 * "ask0/udp:port2.udp": candidate 0 is asked over UDP by GETPORT for the UDP port;
 * "tell1/tcp:4000": candidate 1 is told at TCP port 4000; "resolve", "next", "give-up".
 */
#ifndef TESTS_LIB_PLANNED_H
#define TESTS_LIB_PLANNED_H

#include "plan.h"

enum { PLANNED_START = 5000, PLANNED_MINUTE = 60000 };

struct planned {
	struct plan plan;
	struct plan_cand cands[PLAN_CANDS_MAX];
	struct plan_world world;
	struct plan_steps steps; /* the last ones */
	uint32_t last_xid;
	char text[4096];
};

/* FAMILIES: a '4' or a '6' for each candidate. The time is PLANNED_START, without a deadline. */
void planned_begin(struct planned *t, const char *families, bool named);
/* The last steps, a blank between. */
const char *planned_text(struct planned *t);
/* Call numbers for those that have none yet, as a caller would. */
void planned_draw(struct planned *t);

#endif
