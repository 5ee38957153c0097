/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Findings of xnbd-stonithd: what would stand in the way of a shot, or is not as it should be.
 * There is a place for each one that can be, made with the configuration, so none is made at run
 * time. Each is said once when it begins and once when it is over; what cannot be told at the
 * moment stays as it is. Pure.
 */
#ifndef STONITH_WATCH_FIND_H
#define STONITH_WATCH_FIND_H

#include "config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum watch_find_kind {
	/* Of a PDU. */
	WATCH_LOST,      /* no answer, or none that makes sense */
	WATCH_LOGIN,     /* user, key or context are wrong */
	WATCH_SYSTEM,    /* its sysObjectID is not the profile's */
	WATCH_READ_ONLY, /* it can be read, but does not take commands from us */
	WATCH_PDU_KINDS,
	/* Of an outlet. */
	WATCH_OFF = WATCH_PDU_KINDS, /* off while its node runs */
	WATCH_UNREADABLE,            /* neither off nor on: missing, odd, not switchable */
	WATCH_PENDING,
	WATCH_REFUSES, /* the harmless command was refused or got no answer */
	WATCH_NAME,    /* called otherwise than configured */
	WATCH_OUTLET_END,
	/* Of a node. */
	WATCH_PROXY = WATCH_OUTLET_END, /* its proxy could not switch it */
	WATCH_REPAIR,                   /* outlets of ours stay off */
	WATCH_KINDS,
};

enum { WATCH_FIND_TEXT_MAX = 320 };

struct watch_find {
	enum watch_find_kind kind;
	const char *node, *pdu, *outlet; /* whose it is; NULL = none. The configuration's */
	bool on;
	uint64_t since;                 /* ms: when it began */
	char text[WATCH_FIND_TEXT_MAX]; /* for people; of the last time it was seen */
};

struct watch_find_table {
	struct watch_find *finds;
	size_t count, pdus, outlets; /* outlets of all nodes, in the configuration's order */
};

enum watch_find_verdict { WATCH_UNKNOWN, WATCH_NO, WATCH_YES };
enum watch_find_event { WATCH_SAME, WATCH_BEGUN, WATCH_OVER };

/* 0 or -ENOMEM. C must outlive it. */
int watch_find_init(struct watch_find_table *t, const struct config *c);
void watch_find_done(struct watch_find_table *t);

/* The place for one, by number; KIND must be one of a PDU, an outlet, a node. */
struct watch_find *watch_find_pdu(
	struct watch_find_table *t, size_t pdu, enum watch_find_kind kind);
struct watch_find *watch_find_outlet(
	struct watch_find_table *t, size_t outlet, enum watch_find_kind kind);
struct watch_find *watch_find_node(
	struct watch_find_table *t, size_t node, enum watch_find_kind kind);

/* What is to be said now. TEXT: of WATCH_YES. After WATCH_OVER the old text is still there. */
enum watch_find_event watch_find_judge(
	struct watch_find *f, enum watch_find_verdict verdict, const char *text, uint64_t now);

size_t watch_find_count(const struct watch_find_table *t); /* that are on */

/* A new configuration: what goes on is not said again. Of OLD those stay on that T has no place
 * for. */
void watch_find_carry(struct watch_find_table *t, struct watch_find_table *old);

/* "pdu-lost", "outlet-off" ...: what programs know it by. */
const char *watch_find_name(enum watch_find_kind kind);

#endif
