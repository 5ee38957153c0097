/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What xnbd-wrapper-ctl can ask of the master. control.c has the table of commands and those about
 * the wrapper itself, control_add.c what adds exports, control_bgctl.c what a server answers,
 * control_clients.c who is connected, control_stats.c what is going on, control_snapshot.c and
 * control_migrate.c the rest.
 * control_ask.c is the waiting for a server.
 */
#ifndef WRAPPER_CONTROL_H
#define WRAPPER_CONTROL_H

#include <jansson.h>

#include "ctl.h"
#include "exports.h"

struct master;

extern const struct ctl_server_ops control_ops;

/* Commands. MSG is the request; C gets exactly one answer, now or later. */
struct control_command {
	const char *name;
	void (*fn)(struct master *m, struct ctl_conn *c, json_t *msg);
};
extern const struct control_command control_add_commands[], control_change_commands[],
	control_bgctl_commands[], control_clients_commands[], control_snapshot_commands[],
	control_stats_commands[], control_migrate_commands[]; /* the last row has no name */

/* {"ok": true}, or ERR if RET < 0. */
void control_answer(struct ctl_conn *c, int ret, const struct err *err);
/* The export a request names; NULL: none, and the error was sent. */
struct export_entry *control_find(struct master *m, struct ctl_conn *c, json_t *msg);
/* File names are bytes, JSON is UTF-8: what is not is shown as \xNN. */
json_t *control_text(const char *bytes);

/*
 * control_ask.c: asks the server of an export, and answers C when it has answered; C is paused
 * meanwhile and may go away. REQUEST and THEN are taken; THEN (or NULL) is asked behind it.
 */
struct asking {
	struct master *master;
	struct ctl_conn *conn; /* NULL: gone */
	uint32_t export_id;
	json_t *msg, *then;
	unsigned timeout_ms;
	/*
	 * What to do about the last answer, "ok" or not, if there was one: returns what is sent to
	 * C instead of it (a new object), or NULL. May be NULL.
	 */
	json_t *(*answered)(struct asking *a, json_t *answer);
	struct asking *next;
};
void control_ask(struct master *m, struct ctl_conn *c, const struct asking *how, json_t *request);

/* The connection C is gone. */
void control_ask_gone(struct master *m, struct ctl_conn *c);
void control_add_gone(struct master *m, struct ctl_conn *c);
void control_clients_gone(struct master *m, struct ctl_conn *c);
void control_stats_gone(struct master *m, struct ctl_conn *c);

/* From the worker: its client ID has left. */
void control_client_left(struct master *m, uint64_t id);
/* At the end of the master: what waits is not answered any more. */
void control_clients_end(struct master *m);

#endif
