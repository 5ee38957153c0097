/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The master: owns configuration, export table, listeners, workers and the control socket. It
 * never reads a byte a client sent.
 */
#ifndef WRAPPER_MASTER_H
#define WRAPPER_MASTER_H

#include "chan.h"
#include "ctl.h"
#include "exports.h"
#include "listen.h"
#include "options.h"
#include "proc.h"
#include "reactor.h"
#include "sock.h"
#include "worker.h"

struct master {
	struct reactor reactor;
	const struct wrapper_options *options;
	char server[4096]; /* xnbd-server to start */
	struct exports exports;
	struct listeners listeners;
	struct worker *workers;
	struct ctl_server ctl;
	struct probe_list probes;
	struct addition *additions;   /* control_add.c: what waits for a probe */
	struct asking *askings;       /* control_bgctl.c: what waits for a server */
	struct relay *relays;         /* relay.c */
	struct migration *migrations; /* migrate.c */
	struct reactor_timer copies;  /* proxy.c: those that wait to be started */
	struct proc_signals signals;
	/* the negotiator: link.c */
	struct chan negotiator;
	pid_t negotiator_pid;      /* 0 = none */
	uint64_t negotiator_began; /* ms */
	struct reactor_timer respawn;
	struct reactor_timer end; /* the last deadline of a shutdown */
	uint64_t last_client, last_worker;
	unsigned client_count;
	uint64_t began; /* ms */
	bool ending;    /* shutting down: waits for the workers */
	bool failed;    /* ends with status 1 */
};

/* Takes over LISTENERS. Everything is ready when it returns 0. */
int master_init(struct master *m, const struct wrapper_options *o, struct listeners *listeners,
	struct err *err);
/* Runs to the end; returns an exit status. */
int master_run(struct master *m);
void master_done(struct master *m);

/* Ends everything in order. */
void master_shutdown(struct master *m);
/* Ends the master alone; workers go on until their clients leave. */
void master_orphan(struct master *m);

/* Is this entry served read-only? And is its image only read? */
bool master_readonly(const struct master *m, const struct export_entry *e);
bool master_probes_readonly(const struct master *m, const struct export_entry *e);
/* Tells the negotiator of an entry added or removed, and saves the state file if it is concerned.
 */
int master_export_added(struct master *m, const struct export_entry *e, struct err *err);
int master_export_remove(struct master *m, uint32_t id, struct err *err);

/* Answers to lookups (link.c). */
/* KEEP: id of the export if the negotiator may answer for it from now on, else NEG_NO_EXPORT. */
void master_facts(
	struct master *m, uint64_t client, const struct export_facts *facts, uint32_t keep);
void master_refuse(struct master *m, uint64_t client, uint32_t reply, const char *text);
/* NBD_REP_ERR_* for an image that cannot be served because of ERROR (errno). */
uint32_t master_refusal(int error);

/* link.c: the process that shakes hands. */
int link_start(struct master *m, struct err *err);
void link_stop(struct master *m);
void link_send_export(struct master *m, const struct export_entry *e);
void link_forget_export(struct master *m, uint32_t id);
/* May the negotiator let clients in by itself? Not when a limit is near. */
bool link_may_keep(const struct master *m);
/* It must ask again about this export. */
void link_ask_again(struct master *m, uint32_t id);
/* From SIGCHLD: true if PID was the negotiator. */
bool link_reaped(struct master *m, pid_t pid, int status);

#endif
