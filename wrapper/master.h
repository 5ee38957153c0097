/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The master: owns configuration, export table, listeners, workers and the control socket. It
 * never reads a byte a client sent.
 */
#ifndef WRAPPER_MASTER_H
#define WRAPPER_MASTER_H

#include "access.h"
#include "chan.h"
#include "ctl.h"
#include "exports.h"
#include "listen.h"
#include "options.h"
#include "proc.h"
#include "reactor.h"
#include "service.h"
#include "settings.h"
#include "sock.h"
#include "worker.h"

struct gather;
struct inquiry;
struct metrics_http;
struct handover;
struct handover_self;
struct retired;
struct upgrade;

struct master {
	struct reactor reactor;
	const struct wrapper_options *options; /* of settings */
	const struct settings *settings;       /* as read last */
	struct settings *reread;               /* the same, ours; NULL = those of the start */
	char server[4096];                     /* xnbd-server to start */
	struct exports exports;
	struct peers allow, deny; /* who is served at all */
	struct listeners listeners;
	struct worker *workers;
	struct ctl_server ctl;
	struct probe_list probes;
	struct addition *additions;   /* control_add.c: what waits for a probe */
	struct asking *askings;       /* control_bgctl.c: what waits for a server */
	struct inquiry *inquiries;    /* control_stats.c */
	struct gather *gathers;       /* gather.c */
	struct metrics_http *http;    /* metrics_http.c; NULL = not wanted */
	struct eviction *evictions;   /* control_clients.c: what waits for clients to go */
	struct await *awaits;         /* await.c: what waits for servers to end */
	struct relay *relays;         /* relay.c */
	struct migration *migrations; /* migrate.c */
	struct reactor_timer copies;  /* proxy.c: those that wait to be started */
	struct reactor_timer drains;  /* drain.c: clients have left */
	struct reactor_timer poll;    /* resize.c */
	struct reload *reload;        /* reload.c: under way; NULL = none */
	bool reload_again;            /* it was asked for meanwhile */
	struct proc_signals signals;
	struct service service;
	/* the negotiator: link.c */
	struct chan negotiator;
	pid_t negotiator_pid;      /* 0 = none */
	uint64_t negotiator_began; /* ms */
	struct reactor_timer respawn;
	/* settle.c: answers wait until the negotiator knows what they tell of */
	struct ctl_gate gate;
	struct reactor_task sync;    /* asks it, at the end of the turn */
	struct reactor_timer settle; /* it must have answered */
	bool unsynced;               /* it has not been asked for all yet */
	struct retired *retired;     /* retired.c */
	bool retiring;               /* none is started, for a new master is about to do so */
	struct reactor_timer end;    /* the last deadline of a shutdown */
	struct access_evicted evicted[ACCESS_EVICTED_MAX];
	/* adopt.c: servers of before */
	struct reactor_timer adopt_end; /* while they are waited for */
	bool adopted;                   /* those found have been looked at */
	uint32_t strays;                /* workers that belonged to no export */
	uint64_t last_client, last_worker;
	unsigned client_count;
	uint64_t began; /* ms */
	/* handover.h, upgrade.h */
	const struct handover_self *self;
	struct upgrade *upgrade; /* under way; NULL = none */
	unsigned upgrades;       /* so far */
	int claim;               /* holds the lock of the state file; -1 = there is none */
	bool ending;             /* shutting down: waits for the workers */
	bool failed;             /* ends with status 1 */
};

/*
 * Takes over LISTENERS, and what there is of BEFORE. Everything is ready when it returns 0. After a
 * failure with something of BEFORE: no master_done(), it goes back as it is.
 */
int master_init(struct master *m, const struct settings *s, struct listeners *listeners,
	const struct handover *before, struct err *err);
/* Runs to the end; returns an exit status. */
int master_run(struct master *m);
void master_done(struct master *m);

/* options->server has changed. */
void master_set_server(struct master *m);

/* Ends everything in order. */
void master_shutdown(struct master *m);
/* Ends the master alone; workers go on until their clients leave. */
void master_orphan(struct master *m);

/* Is this entry served read-only? And is its image only read? */
bool master_readonly(const struct master *m, const struct export_entry *e);
bool master_probes_readonly(const struct master *m, const struct export_entry *e);
/* Tells the negotiator of an entry added or removed, and saves the state file if it is concerned.
 */
int master_export_added(struct master *m, struct export_entry *e, struct err *err);
int master_export_remove(struct master *m, uint32_t id, struct err *err);
/* Its serial may be another one now (serial.h): it was configured, or its device is there now. */
void master_settle_serial(struct master *m, uint32_t id);

/* Answers to lookups (link.c). */
/*
 * The export is like that: what WHO is told depends on its rights (access.h). KEEP: id of the
 * export if the negotiator may answer for it from now on, else NEG_NO_EXPORT.
 */
void master_facts(struct master *m, const struct ipc_lookup *who, const struct export_facts *facts,
	uint32_t keep);
void master_refuse(
	struct master *m, const struct ipc_lookup *who, uint32_t reply, const char *text);
/* NBD_REP_ERR_* for an image that cannot be served because of ERROR (errno). */
uint32_t master_refusal(int error);
/* The same with words. */
void master_refuse_image(struct master *m, const struct ipc_lookup *who, int error);

/* link.c: the process that shakes hands. */
int link_start(struct master *m, struct err *err);
void link_stop(struct master *m);
/* Answers WHO, now or later. */
void link_look_up(struct master *m, const struct ipc_lookup *who);
/* Rules about all peers have changed. */
void link_send_common(struct master *m);
/* An entry that is new, or has changed. */
void link_send_export(struct master *m, const struct export_entry *e);
void link_forget_export(struct master *m, uint32_t id);
/* It listens no more, and ends when it has no clients; no other one is started. */
void link_retire(struct master *m);
/* What a negotiator says. FD is -1 or the callee's. */
void link_message(struct master *m, uint32_t type, const void *body, size_t len, int fd);
/* After log_level(). */
void link_send_log_level(struct master *m);
/* options->handshake_timeout has changed. */
void link_send_timeout(struct master *m);
/* It must ask again about this export. */
void link_ask_again(struct master *m, uint32_t id);
/* From SIGCHLD: true if PID was the negotiator. */
bool link_reaped(struct master *m, pid_t pid, int status);

#endif
