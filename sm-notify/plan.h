/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What to do next for one peer, until every name is acknowledged or the time is up.
 *
 * A peer has candidates, its addresses. Of each we ask rpcbind for the port of the status monitor,
 * then tell it the name at hand. All of them are asked at once; the first one with a port is told,
 * the others only if it is still silent at the next tick. Over IPv4 the questions are, each when
 * the one before was refused: GETPORT, GETADDR version 3, GETADDR version 4; over IPv6 GETPORT is
 * last.
 *
 * Ticks, at which everything unanswered is sent again: at 0, 1, 2, 4, 8, 12, 16, 20, 24 and 28
 * seconds, then every 9 to 10 s until two minutes after the start of the run, later every 60 to
 * 120 s. A peer that has shown to be there (an answer, or "nobody listens") is asked anew every
 * second or two for a minute. From the third tick on TCP is tried beside UDP (at once when UDP is
 * refused, or not registered), and datagrams are sent two or three times over: where some get lost
 * the next ones do, too.
 *
 * A name is looked up when there is no address, and from the fourth tick on at every fourth: the
 * literal address in a record may be out of date, and so may be what the name stood for before.
 *
 * Pure: events go in with the time, steps come out; the caller carries them out in their order.
 */
#ifndef SM_NOTIFY_PLAN_H
#define SM_NOTIFY_PLAN_H

#include "rpc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PLAN_CANDS_MAX = 16,                     /* addresses of a peer; more are left out */
	PLAN_STEPS_MAX = 3 * PLAN_CANDS_MAX + 2, /* that one event can cause */
	PLAN_EARLY_MS = 120 * 1000,              /* the time in which gaps are at most */
	PLAN_EARLY_GAP_MS = 10 * 1000,
};

/* What stood in the way last. */
enum plan_fault {
	PLAN_SILENT,         /* no answer */
	PLAN_NO_ADDRESS,     /* the name does not resolve */
	PLAN_NO_FAMILY,      /* we have no socket for addresses of this family */
	PLAN_UNREACHABLE,    /* no way there */
	PLAN_REFUSED,        /* the host is there, nobody listens */
	PLAN_NOT_REGISTERED, /* rpcbind knows of no status monitor */
	PLAN_BAD_REPLY,      /* makes no sense */
	PLAN_CUT,            /* TCP: reset, closed or stalled */
	PLAN_ASK_ANSWER,     /* + enum rpc_answer: what rpcbind said */
	PLAN_TELL_ANSWER = PLAN_ASK_ANSWER + RPC_AUTH_DENIED + 1, /* + same: the status monitor */
	PLAN_FAULTS = PLAN_TELL_ANSWER + RPC_AUTH_DENIED + 1,
};

/* An address. New ones are all zero but for v6. */
struct plan_cand {
	uint32_t ask_xid;    /* UDP: of the question that is out; 0 = draw one */
	uint32_t tell_xid;   /* UDP: of the notification under the name at hand; 0 = draw one */
	uint16_t port[2];    /* of its status monitor, by enum rpc_prot; 0 = not known */
	uint8_t asked[2];    /* by what it is asked over: how many methods were refused */
	uint8_t unheard : 7; /* times it was told by UDP since the port was learned */
	bool heard : 1;      /* since the last tick UDP said that nothing is registered */
	bool v6 : 1;
	bool begun : 1;     /* it was asked, ever */
	bool other : 1;     /* UDP: the question that is out is for the TCP port */
	bool busy : 1;      /* a TCP conversation is under way, or is to be: */
	bool tcp_tells : 1; /* to tell it; else to ask */
	bool tcp_other : 1; /* for the UDP port */
	bool waits : 1;     /* it has not begun; for the caller alone */
	bool quick : 1;     /* reacted to a refusal since the last tick; not again */
};

struct plan {
	uint16_t tries;     /* ticks since there was progress */
	uint8_t count;      /* of candidates */
	uint8_t name;       /* number of the name at hand, modulo 256 */
	uint8_t fault;      /* enum plan_fault */
	bool named : 1;     /* there is a name that can be looked up */
	bool resolving : 1; /* and that is going on */
	bool overdue : 1; /* longer than until the tick at which it should have been tried again */
	bool alive : 1;   /* the peer has shown to be there */
	bool telling : 1; /* some candidate was told since the last tick */
};

/* What holds for all peers. */
struct plan_world {
	uint64_t now, start;
	uint64_t deadline; /* UINT64_MAX = never */
	uint32_t random;   /* another one for each event */
	bool v4, v6;       /* what we have sockets for */
	uint8_t copies;    /* so many at most; few if there are very many peers */
};

enum plan_what {
	PLAN_RESOLVE, /* look the name up: plan_resolved() */
	PLAN_ASK,     /* plan_port() or plan_failed() */
	PLAN_TELL,    /* plan_told() or plan_failed() */
	PLAN_NEXT, /* the name at hand is acknowledged; comes before anything about the next one */
	PLAN_GIVE_UP, /* the deadline has passed */
};

struct plan_step {
	enum plan_what what;
	uint8_t cand;
	enum rpc_prot by;       /* ASK, TELL: over */
	enum rpc_method method; /* ASK */
	enum rpc_prot prot;     /* ASK: the port of which protocol */
	uint16_t port;          /* TELL */
	uint8_t copies;         /* UDP: how many to send */
};

struct plan_steps {
	uint64_t due; /* when plan_tick() is to be called; 0 = as it was */
	size_t count;
	struct plan_step step[PLAN_STEPS_MAX];
};

/* NAMED: there is a name to look up. Candidates are then, and later, given to every call. */
void plan_init(struct plan *p, bool named, size_t count);

void plan_tick(struct plan *p, struct plan_cand *cands, const struct plan_world *w,
	struct plan_steps *out);

/* The lookup has ended; CANDS are the peer's from now on, those known before as they were. */
void plan_resolved(struct plan *p, struct plan_cand *cands, size_t count,
	const struct plan_world *w, struct plan_steps *out);

/* What candidate AT was asked by STEP; 0 = not registered. */
void plan_port(struct plan *p, struct plan_cand *cands, const struct plan_step *step, uint16_t port,
	const struct plan_world *w, struct plan_steps *out);

/* Acknowledged under the name NAME (plan.name when it was sent). MORE: there is another one. */
void plan_told(struct plan *p, struct plan_cand *cands, const struct plan_step *step, uint8_t name,
	bool more, const struct plan_world *w, struct plan_steps *out);

/* STEP came to nothing. UDP: it was refused; silence needs no call. TCP: always called. */
void plan_failed(struct plan *p, struct plan_cand *cands, const struct plan_step *step,
	enum plan_fault fault, const struct plan_world *w, struct plan_steps *out);

/* The UDP question or notification that is out to C, as it was or would be sent. */
struct plan_step plan_question(const struct plan_cand *c, uint8_t at);
struct plan_step plan_notification(const struct plan_cand *c, uint8_t at);
/* The same of the TCP conversation, while C is busy. */
struct plan_step plan_conversation(const struct plan_cand *c, uint8_t at);

/* For people: "no answer", "the name cannot be resolved" ... */
void plan_fault_text(enum plan_fault fault, char *out, size_t room);

#endif
