/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may use an export, and how: rules about peers, limits of clients, and the one writer of an
 * exclusive export. Peers are told apart by sock_peer.host: an address, or a user of unix sockets;
 * all connections of one peer are one writer.
 *
 * A client is judged twice. When it asks, by what the negotiator says of it: the answer it gets is
 * right then, and what it may write to is promised to it for a moment. When it enters, by what the
 * master sees of its socket: that decides, for the negotiator may have been taken over.
 */
#ifndef WRAPPER_ACCESS_H
#define WRAPPER_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "export.h"
#include "exports.h"
#include "ipc.h"

struct client;
struct master;
struct worker;

enum {
	ACCESS_PROMISE_MS = 10 * 1000, /* the client enters as soon as it has its answer */
	ACCESS_EVICTED_MS = 10 * 1000, /* so long an evicted writer is kept out */
	ACCESS_EVICTED_MAX = 64,       /* who was evicted before them may come back */
	ACCESS_TIME_MAX = 32,
};

/* A writer that was evicted and must not come back yet. */
struct access_evicted {
	uint32_t export_id;
	char host[SOCK_NAME_MAX];
	uint64_t until; /* ms */
};

/*
 * May the client WHO have what it asks for? 0, and FACTS are those for it; or -errno and why, for a
 * question that is final. To others who may not write now the export is shown read-only.
 */
int access_ask(struct master *m, const struct ipc_lookup *who, struct export_facts *facts,
	struct err *err);

/*
 * May CLIENT enter E, to write unless client->readonly? 0: the caller puts it into a worker's list
 * at once. -errno and why: its connection is to be closed.
 */
int access_enter(
	struct master *m, struct export_entry *e, const struct client *client, struct err *err);

/* Is there room for one more client, from HOST? 0, or -EUSERS and why. */
int access_check_room(
	const struct master *m, const struct export_entry *e, const char *host, struct err *err);
/*
 * May the negotiator let clients in by itself? Not when a limit is near, nor into an export whose
 * clients are not all equal. E = NULL: as far as the wrapper's own limits are concerned.
 */
bool access_may_keep(const struct master *m, const struct export_entry *e);

/*
 * The peer that has an exclusive export to write to, or NULL. *RET_SINCE: ms, 0 = it was promised
 * and has not entered yet.
 */
const char *access_holder(
	const struct master *m, const struct export_entry *e, uint64_t *ret_since);

/* The peer HOST may not write to E for ACCESS_EVICTED_MS, if that is exclusive. */
void access_keep_out(struct master *m, struct export_entry *e, const char *host);
/* Ends C between requests, or at once. A writer of an exclusive export is kept out for a while. */
void access_evict(struct worker *w, struct client *c, bool now);
/* From the worker: C is leaving its list. */
void access_client_gone(struct worker *w, const struct client *c);
/* The rules of E have changed: its snapshots get them too, the negotiator hears of it. */
void access_changed(struct master *m, const struct export_entry *e);
/* Rules have changed: clients that they shut out, or forbid to write, are ended between requests.
 */
void access_enforce(struct master *m);

/* Wall clock at MS of the master's clock, s of the epoch; and as "2026-11-21 05:10:11 UTC". */
int64_t access_time(const struct master *m, uint64_t ms);
void access_print_time(int64_t seconds, char out[ACCESS_TIME_MAX]);

#endif
