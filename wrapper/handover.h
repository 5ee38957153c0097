/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a master hands on to the program that takes its place by exec: listening sockets, the lock
 * of the state file, control connections, negotiators with their handshakes, and what cannot be
 * read again from files or asked of servers. Descriptors are inherited under their numbers; a
 * document about them, in memory, is named by the environment variable HANDOVER_VARIABLE:
 *
 *	{"handover": 1, "ipc": 1, "fds": [...], ...}
 *
 * Keys that are not known are ignored. Until handover_finish() a failure of the new program gives
 * everything back to the old one, whose file is handed on too.
 *
 * Not handed on, and why that is right: settings and rules are read again; the log file is opened
 * again by its name, so a rotation loses nothing; serials and wishes of the state file have been
 * saved; servers know clients, counts, sizes, limits and snapshots; who waits for an answer to a
 * handshake asks again (IPC_RETIRE), so looks at images (probe.h) and servers that are held begin
 * anew; commands, reloads and servers that are being replaced are waited for (upgrade.c). Copies,
 * migrations and the polling of sizes go on from what is stored, at their next turn. A proxy's
 * pause after a failed copy begins anew.
 */
#ifndef WRAPPER_HANDOVER_H
#define WRAPPER_HANDOVER_H

#include <jansson.h>
#include <limits.h>

#include "err.h"
#include "exports.h"
#include "listen.h"

struct ctl_conn;
struct master;
struct settings;

#define HANDOVER_VARIABLE "XNBD_WRAPPER_HANDOVER"
enum { HANDOVER_VERSION = 1 };

/* How this program was started. */
struct handover_self {
	char **argv;
	char binary[PATH_MAX]; /* its file, as it was called then */
	char folder[PATH_MAX]; /* it was started in */
};

struct handover {
	json_t *doc; /* NULL: there is none, or it is finished */
};

/* Before anything else changes its folder. */
void handover_know_self(struct handover_self *self, char **argv);

/* The old program. */

/* The file PATH becomes this process. ASKED: who waits for the answer. Returns only on failure. */
int handover_exec(struct master *m, const char *path, struct ctl_conn *asked, struct err *err);
/* --upgrade-check: could S be taken over? Tells why not on stderr, or prints how. Exit status. */
int handover_check(const struct settings *s);
/* Is TEXT, which that has printed, a yes? The version of ipc.h it speaks, or -1. */
int handover_checked(const char *text);

/* The new program, in this order. */

/* 0 also if there is none. Back in the folder the first one was started in. */
int handover_take(struct handover *h, struct err *err);
/* FAILURE: why it cannot go on. Returns only if the old one is gone, too. */
void handover_give_back(struct handover *h, char **argv, const char *failure);
void handover_listeners(const struct handover *h, struct listeners *ret);
/* Those that listen or lock for another PATH than before are closed: -1. */
int handover_control(const struct handover *h, const char *path);
int handover_claim(const struct handover *h, const char *path);
/* Those for figures at PLACE; none if that is another one now. */
void handover_metrics(const struct handover *h, const char *place, struct sock_list *ret);
/*
 * Exports get their ids and what only memory has of them back, snapshots their entries; numbers go
 * on, peers that were evicted are kept out, the log has its level.
 */
void handover_restore(const struct handover *h, struct master *m);
/* Servers that were known; see adopt_all(). Borrowed, may be NULL. */
json_t *handover_servers(const struct handover *h);
/* Where they were looked for; NULL = there was no one before. */
const char *handover_folder(const struct handover *h);
/* Negotiators of before: first to be there when exports are told, then to retire. */
int handover_link(const struct handover *h, struct master *m);
void handover_retire(const struct handover *h, struct master *m);
/* All is well: who waits for that is told. */
void handover_finish(struct handover *h, struct master *m);

#endif
