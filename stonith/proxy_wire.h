/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is said between a node and the host that reaches its PDUs, over the stdin and stdout of
 * `xnbd-stonith --proxy` (an SSH channel). Lines of bounded length, fields with one space between:
 *
 *	S: hello 1 CHALLENGE TIME
 *	C: shoot ACTION TIME WITHIN ID VICTIM WHY
 *	C: mac MAC
 *	S: note TEXT                                (any number up to a limit)
 *	S: outlet BEFORE VALUE LAST VALUE FAULT SET NAME       (one for each)
 *	S: verdict CODE ACTION MS ON ON-FAILED CONFIRMED TEXT
 *	S: mac MAC
 *
 * CHALLENGE and ID are 64 hex digits that the server and the client have drawn, TIME is in seconds
 * since 1970, WITHIN in ms; WHY may be empty. Outlets and verdict are the fields of struct
 * proxy_wire_outlet and proxy_wire_answer; states and faults are the numbers of their enums, which
 * are part of the protocol therefore.
 *
 * A MAC is HMAC-SHA-256, with the secret both have, over a hash of all lines so far of both sides.
 * So a request is good for one challenge only, an answer for one request only, and no line can be
 * changed, left out or added. Whatever the server does not believe it answers with
 *
 *	S: refused TEXT                             (at any time; nothing was done; not proven)
 *
 * Times are told for the log only; what is fresh is what answers a challenge.
 *
 * Pure: lines in, lines out.
 */
#ifndef STONITH_PROXY_WIRE_H
#define STONITH_PROXY_WIRE_H

#include "fence.h"
#include "shoot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PROXY_WIRE_VERSION = 1,
	PROXY_WIRE_LINE_MAX = 512,  /* bytes, without the newline */
	PROXY_WIRE_HASH = 32,       /* also of challenges, ids and MACs */
	PROXY_WIRE_VICTIM_MAX = 64, /* here and below: with the zero byte */
	PROXY_WIRE_WHY_MAX = 128,
	PROXY_WIRE_TEXT_MAX = 384,
	PROXY_WIRE_NOTES_MAX = 64,
	PROXY_WIRE_SECRET_MIN = 16,
	PROXY_WIRE_WITHIN_MAX = 3600 * 1000,
	/* A whole answer. */
	PROXY_WIRE_ANSWER_MAX = (FENCE_OUTLETS_MAX + 2) * (PROXY_WIRE_LINE_MAX + 1),
};

/* Bytes as they come, cut into lines. */
struct proxy_wire_lines {
	size_t len;
	char line[PROXY_WIRE_LINE_MAX + 1];
};

/* 1: L->line is one, *BYTES and *LEN are the rest. 0: all was taken, more is needed. -EMSGSIZE: a
 * line too long; -EBADMSG: bytes that no line has. */
int proxy_wire_feed(struct proxy_wire_lines *l, const char **bytes, size_t *len);

struct proxy_wire_request {
	enum fence_goal goal;
	uint64_t time;   /* s since 1970, by the client's clock */
	uint64_t within; /* ms the client waits from now on */
	uint8_t id[PROXY_WIRE_HASH];
	char victim[PROXY_WIRE_VICTIM_MAX]; /* visible ASCII */
	char why[PROXY_WIRE_WHY_MAX];       /* one printable line */
};

enum proxy_wire_code {
	PROXY_WIRE_DONE,    /* verified */
	PROXY_WIRE_FAILED,  /* it is not certain */
	PROXY_WIRE_REFUSED, /* nothing was done */
};

struct proxy_wire_outlet {
	enum outlet_state before, last;
	int32_t before_value, last_value;
	enum fence_fault fault;
	bool set;
	char name[SHOOT_NAME_MAX];
};

struct proxy_wire_answer {
	enum proxy_wire_code code;
	enum fence_goal goal; /* what was done: by the proxy's policy a reboot may be an off */
	uint64_t ms;
	bool turning_on; /* the states of outlets are to be on */
	bool on_failed;  /* FENCE_CYCLE */
	bool confirmed;  /* not verified: an administrator has said on the proxy that it is off */
	size_t outlet_count;
	struct proxy_wire_outlet outlets[FENCE_OUTLETS_MAX];
	char text[PROXY_WIRE_TEXT_MAX];
};

/* One conversation, as one side has it. */
struct proxy_wire {
	const char *secret; /* the caller's */
	size_t secret_len;
	uint8_t hash[PROXY_WIRE_HASH]; /* of all lines so far */
	unsigned step, notes;
	size_t outlets; /* client: of the answer, so far */
};

/* -EINVAL: the secret is too short. */
int proxy_wire_init(struct proxy_wire *w, const char *secret);

/* Lines with their newline; OUT of PROXY_WIRE_LINE_MAX + 2 bytes or as said. Return their length.
 * Texts are made printable, and cut where they are too long. */

/* Server. */
size_t proxy_wire_hello(
	struct proxy_wire *w, const uint8_t challenge[PROXY_WIRE_HASH], uint64_t time, char *out);
/* 0: more is to come. 1: *R is whole, and from who knows the secret. -EBADMSG: no request. -EACCES:
 * the MAC is another. -ENOMEM. */
int proxy_wire_take_request(struct proxy_wire *w, const char *line, struct proxy_wire_request *r);
size_t proxy_wire_note(struct proxy_wire *w, const char *text, char *out);
/* OUT of PROXY_WIRE_ANSWER_MAX + 1 bytes. */
size_t proxy_wire_answer(struct proxy_wire *w, const struct proxy_wire_answer *a, char *out);
/* Needs no conversation. */
size_t proxy_wire_refusal(const char *text, char *out);

/* Client. */
enum proxy_wire_event {
	PROXY_WIRE_MORE,     /* an outlet, the verdict: the MAC is to come */
	PROXY_WIRE_HELLO,    /* now the request is to be sent */
	PROXY_WIRE_NOTE,     /* TEXT is it */
	PROXY_WIRE_ANSWERED, /* *A is whole and proven */
	PROXY_WIRE_NO,       /* TEXT says why; not proven */
};

/* One of the above. -EBADMSG: not what a server says here. -EPROTO: another version. -EACCES: the
 * answer's MAC is another. -ENOMEM. *RET_TEXT points into LINE. *RET_TIME: of the hello. */
int proxy_wire_take(struct proxy_wire *w, const char *line, struct proxy_wire_answer *a,
	const char **ret_text, uint64_t *ret_time);
/* Two lines: OUT of 2 * (PROXY_WIRE_LINE_MAX + 1) + 1 bytes. 0: the victim's name is none. */
size_t proxy_wire_request(struct proxy_wire *w, const struct proxy_wire_request *r, char *out);

/* May this answer be what it says, to a request of this goal? False: "done", but something else was
 * done, or the outlets read otherwise. */
bool proxy_wire_makes_sense(enum fence_goal goal, const struct proxy_wire_answer *a);

/* "off", "on", "reboot", "status", "test". */
const char *proxy_wire_goal_name(enum fence_goal goal);
bool proxy_wire_goal(const char *name, enum fence_goal *ret);

#endif
