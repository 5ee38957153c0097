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

struct ipc_lookup;
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
	uint64_t told;     /* the size it was told, bytes */
	bool readonly;     /* it was told so */
	bool evicted;
	struct client *next;
};

struct worker {
	struct master *master;
	struct worker *next;
	uint32_t export_id;
	char *export_name; /* stays when the export is removed */
	enum worker_state state;
	pid_t pid;         /* 0 = has ended, or is held, or not known yet */
	bool held;         /* not started: the one before has the proxy's files, or has failed */
	bool copying;      /* was told to copy what the origin has */
	bool told;         /* to end: if it does, that is no failure */
	bool retires;      /* it ends when its clients, who are being ended, have gone */
	bool polling;      /* it is being asked for its size: resize.c */
	bool poll_refused; /* it has refused, which was logged */
	struct ctl_conn ctl;
	char ctl_path[SOCK_UNIX_PATH_MAX + 1];   /* its control socket; "" = not bound yet */
	char proxy_path[SOCK_UNIX_PATH_MAX + 1]; /* for xnbd-bgctl, if the entry names none */
	char why[128];                           /* it could not start; "" = did not say */
	struct reactor_timer deadline;           /* while starting or stopping */
	struct export_facts facts;               /* valid from WORKER_READY on */
	uint64_t ready_at;                       /* ms; 0 = never was */
	uint64_t promised_at;                    /* ms, last time a client was told it can enter */
	bool kept;                               /* the negotiator tells clients so by itself */
	struct ipc_lookup *waiting;              /* of clients, until it is ready */
	size_t waiting_count, waiting_room;
	struct client *clients;
	unsigned client_count;
	/* Of before; adopt.h */
	bool adopting, foreign;     /* has not answered yet; does not know "adopt" */
	unsigned asked;             /* times */
	struct reactor_timer again; /* when it is asked once more */
	bool of_proxy;
	int pidfd;                    /* -1 = a child of ours, or has ended */
	struct reactor_watch process; /* pidfd */
	json_t *answer;               /* NULL = none yet, or taken over */
	json_t *known;                /* of the wrapper before an upgrade; NULL = nothing */
	char *image;                  /* as it says; NULL = is not of before */
	char *apart;                  /* why it gets no new clients; NULL = it does */
	unsigned foreign_clients;     /* it had so many, and does not tell when they leave */
};

/*
 * NULL (and logged) if it cannot even be started. That of a proxy waits for the end of the one
 * before, which has its cache and bitmap locked; after a failure it waits as backoff.h has it.
 */
struct worker *worker_start(struct master *m, uint32_t export_id);
/* The one that takes clients for this export, or NULL. */
struct worker *worker_for(struct master *m, uint32_t export_id);

/* WHO (copied) gets facts or a refusal once W is ready or has failed. */
void worker_wait(struct worker *w, const struct ipc_lookup *who);

/* WHO means to enter: gets the facts now. W is ready, and stays so while the client may come. */
void worker_promise(struct worker *w, const struct ipc_lookup *who);

/* Hands over a client (copied; its number and time are given here); takes FD. W is ready. */
void worker_give(struct worker *w, const struct client *who, int fd);

/* Ends one of its clients between requests, or at once; it leaves the list when it is gone. */
void worker_end_client(struct worker *w, const struct client *c, bool now);

/* The negotiator knows nothing of the export any more, whether it was told so or not. */
void worker_ask_again(struct master *m, uint32_t export_id);

/* What a server says of its export; false: it is not all there. */
bool worker_read_facts(json_t *msg, struct export_facts *ret);

/* Asks it to end: at once refuses clients, ends connections between requests. */
void worker_stop(struct worker *w);
/* A signal for its process, if that is there. */
void worker_signal(const struct worker *w, int number);
/*
 * Gentler: takes no more clients, ends those it has one by one between requests, without an error
 * for any, and then it is stopped. Who does not go in time is gone with it.
 */
void worker_retire(struct worker *w);
/* From SIGCHLD: true if PID was a worker. */
bool worker_reaped(struct master *m, pid_t pid, int status);
/* Forgets W without ending it. */
void worker_forget(struct worker *w);

#endif
