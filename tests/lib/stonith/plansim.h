/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PDUs in memory, one for each lane, that carry out a fence plan's steps, with their faults, in
 * made-up time; and a judge that knows nothing of the plan's inside: it sees requests begin and
 * end, and ends the process when the plan does what it never may, above all when it says success
 * without the readings for it.
 *
 * An outlet is asked by object identifiers and values of a real profile, so profile.h is part of
 * what is tried.
 */
#ifndef TESTS_LIB_STONITH_PLANSIM_H
#define TESTS_LIB_STONITH_PLANSIM_H

#include "fence.h"

enum { PLANSIM_LOG_MAX = 8192, PLANSIM_TIMEOUT = 1000 };

struct plansim_outlet {
	uint8_t pdu;
	struct oid_key key;
	bool on;
	/* A command that is pending, of the PDU's own: somebody pressed "reboot". */
	uint64_t later; /* ms: when it is carried out; 0 = none */
	bool later_on;
	/* Faults. */
	bool stuck;        /* commands are acknowledged, the relay does not move */
	uint64_t slow;     /* ms until the relay has moved */
	uint64_t moves_at; /* ms: it will; 0 = it does not move */
	bool moves_on;
	bool odd; /* its state is read as: */
	struct profile_reading odd_as;
	enum fence_fault set_fault, cancel_fault; /* what they are answered with */
	/* What the judge and tests know. */
	unsigned offs, ons, cancels; /* acknowledged */
	/* The judge's: readings as wanted, since something that could change any outlet was sent.
	 */
	unsigned good_reads;
	uint64_t good_since; /* ms: end of the first of them */
	uint64_t good_begun; /* ms: begin of the last of them */
	bool acknowledged;   /* what is wanted was set, and the PDU said so */
};

struct plansim_pdu {
	const struct profile *profile;
	struct oid system;
	uint64_t latency;               /* ms, half of it before a request is carried out */
	uint64_t dead_from, dead_until; /* ms: gives no answer and does nothing */
	enum fence_fault get_fault;     /* what reading its outlets is answered with */
	enum fence_fault dead_as;       /* how that looks: SILENT unless given */
	bool identified;                /* the judge's: by the last answer to IDENTIFY, and */
	unsigned losses;                /* not without two answers in a row since */
	struct fence_step step;         /* under way; id 0 = none */
	uint64_t began, acts, ends;     /* ms */
	enum fence_fault outcome;
	struct profile_reading read[FENCE_OUTLETS_MAX][PROFILE_READS];
};

struct plansim {
	struct fence plan;
	struct fence_steps steps;
	uint64_t now, due;
	struct plansim_pdu pdus[FENCE_LANES_MAX];
	struct plansim_outlet outlets[FENCE_OUTLETS_MAX];
	size_t pdu_count, outlet_count;
	void (*meddle)(
		struct plansim *s); /* called when time has moved; may change anything above */
	void *arg;                  /* its own */
	bool half;                  /* the judge has seen the off half of a CYCLE end */
	size_t log_len;
	char log[PLANSIM_LOG_MAX]; /* "0:id 0:read 0:cancel0 0:off0 ", each when it begins */
};

/* PDUs: profile names, "apc-rpdu apc-rpdu2"; outlets are 1 and following of each. */
void plansim_init(struct plansim *s, const char *profiles, unsigned outlets_each);
void plansim_begin(struct plansim *s, enum fence_goal goal, uint64_t deadline, uint64_t dwell);
/* To the verdict. */
void plansim_run(struct plansim *s);
/* To that time, or the verdict. */
void plansim_run_until(struct plansim *s, uint64_t time);

/* How often WORD is in the log. */
unsigned plansim_count(const struct plansim *s, const char *word);

/* One outlet's objects, as its PDU would answer. */
struct profile_reading plansim_get(const struct plansim *s, size_t outlet, const struct oid *o);

#endif
