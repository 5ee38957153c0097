/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way to one PDU: a helper process with an SNMP session, because the library may block where it
 * should not (discovery of SNMPv3 engines, a dead route). It is forked once and then waits for
 * requests, one at a time; one that is late is killed with its request, and the next request gets a
 * new one. The helper has no descriptors but its channel and its socket, dies with us, is nobody if
 * we are root, and does nothing but SNMP (snmp.h).
 */
#ifndef STONITH_LANE_H
#define STONITH_LANE_H

#include "chan.h"
#include "config.h"
#include "fence.h"
#include "oid.h"
#include "reactor.h"

#include <sys/types.h>

enum { LANE_OBJECTS_MAX = 64, LANE_TEXT_MAX = OID_TEXT_MAX, LANE_WHY_MAX = 128, LANE_PIDS_MAX = 9 };

enum lane_kind { LANE_GET, LANE_SET };

struct lane_request {
	enum lane_kind kind;
	uint32_t id; /* the caller's */
	size_t count;
	size_t group; /* GET: so many in a row belong into one message; 0 = 1 */
	struct oid oids[LANE_OBJECTS_MAX];
	int32_t values[LANE_OBJECTS_MAX]; /* SET: INTEGERs, one after the other until one fails */
};

struct lane_reply {
	uint32_t id;
	enum fence_fault fault; /* FENCE_NO_FAULT: readings are there */
	size_t count;
	struct profile_reading readings[LANE_OBJECTS_MAX];
	/* Of the first OCTET STRING (printable) or OBJECT IDENTIFIER, for people and for identify.
	 */
	char text[LANE_TEXT_MAX];
	char why[LANE_WHY_MAX]; /* of a fault: what the library or the PDU said */
};

struct lane;

/* Forks at once, so that the first request need not wait. DONE is never called by another call. */
struct lane *lane_new(struct reactor *r, const struct config_pdu *pdu,
	void (*done)(void *arg, const struct lane_reply *reply), void *arg);
/*
 * NULL is fine. A request under way is forgotten, whether it was carried out or not. The helper is
 * killed and not waited for: who lives on asks lane_pids() before, and waits for those.
 */
void lane_free(struct lane *l);

/*
 * No other may be under way. It is answered within lane_limit(), always: by DONE. 0 or -errno
 * (no helper could be started): then there is no answer.
 */
int lane_send(struct lane *l, const struct lane_request *q);
/* From now on DONE is told, for lanes that several share in turn. None may be under way. */
void lane_listen(
	struct lane *l, void (*done)(void *arg, const struct lane_reply *reply), void *arg);
/* A request under way is forgotten, as by lane_free(): its helper is killed. */
void lane_abandon(struct lane *l);
/* Processes of it that will have to be waited for when it was freed: the helper, and killed ones
 * that are not gone yet. How many. */
size_t lane_pids(const struct lane *l, pid_t ret[LANE_PIDS_MAX]);
/* ms: after so long a helper is killed. */
uint64_t lane_limit(const struct config_pdu *pdu);

#endif
