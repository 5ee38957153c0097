/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The master's picture of one xnbd-server: starts it at the first client of an export, hands
 * clients to it over its control socket, ends it when it is idle, notices when it dies.
 */
#ifndef WRAPPER_WORKER_H
#define WRAPPER_WORKER_H

#include "ctl.h"
#include "export.h"
#include "feature.h"
#include "probe.h"
#include "sock.h"

struct master;

enum worker_state {
	WORKER_STARTING, /* lookups wait for its facts */
	WORKER_READY,
	WORKER_STOPPING, /* takes no more clients; a new one may be started beside it */
};

/* A client in transmission. */
struct client {
	uint64_t id;
	struct sock_peer peer;
	uint64_t since; /* ms */
	struct features features;
	uint64_t snapshot; /* what it uses; 0 = the export itself */
	struct client *next;
};

struct worker {
	struct master *master;
	struct worker *next;
	uint32_t export_id;
	char *export_name; /* stays when the export is removed */
	enum worker_state state;
	pid_t pid;    /* 0 = reaped, or held */
	bool held;    /* not started: the one before still has the files of this proxy */
	bool copying; /* was told to copy what the origin has */
	struct ctl_conn ctl;
	char ctl_path[SOCK_UNIX_PATH_MAX + 1];   /* its control socket; "" = not bound yet */
	char proxy_path[SOCK_UNIX_PATH_MAX + 1]; /* for xnbd-bgctl, if the entry names none */
	char why[128];                           /* it could not start; "" = did not say */
	struct reactor_timer deadline;           /* while starting or stopping */
	struct export_facts facts;               /* valid from WORKER_READY on */
	uint64_t ready_at;                       /* ms; 0 = never was */
	uint64_t promised_at;                    /* ms, last time a client was told it can enter */
	bool kept;                               /* the negotiator tells clients so by itself */
	uint64_t *waiting;                       /* negotiator clients whose lookups wait */
	size_t waiting_count, waiting_room;
	struct client *clients;
	unsigned client_count;
};

/*
 * NULL (and logged) if it cannot even be started. That of a proxy waits for the end of the one
 * before, which has its cache and bitmap locked.
 */
struct worker *worker_start(struct master *m, uint32_t export_id);
/* The one that takes clients for this export, or NULL. */
struct worker *worker_for(struct master *m, uint32_t export_id);

/* CLIENT (a negotiator's number) gets facts or a refusal once W is ready or has failed. */
void worker_wait(struct worker *w, uint64_t client);

/* CLIENT means to enter: gets the facts now. W is ready, and stays so while the client may come. */
void worker_promise(struct worker *w, uint64_t client);

/* Hands over a client; takes FD. W is ready. SNAPSHOT: which one it uses; 0 = the export itself. */
void worker_give(struct worker *w, const struct sock_peer *peer, const struct features *features,
	uint64_t snapshot, int fd);

/* Asks it to end: at once refuses clients, ends connections between requests. */
void worker_stop(struct worker *w);
/* From SIGCHLD: true if PID was a worker. */
bool worker_reaped(struct master *m, pid_t pid, int status);
/* Forgets W without ending it. */
void worker_forget(struct worker *w);

#endif
