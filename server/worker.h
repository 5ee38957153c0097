/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker serves one export: its main thread takes in clients (own listeners, or sockets its
 * master sends) and control commands; its lanes do the work. Everything here runs in the main
 * thread.
 */
#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

#include "conn.h"
#include "ctl.h"
#include "lane.h"
#include "listen.h"
#include "lobby.h"
#include "proc.h"

enum {
	WORKER_LANES_MAX = 64,
	WORKER_CONTROLS_MAX = 2,
	WORKER_HANDSHAKES_MAX = 4096,
	WORKER_WINDOWS_MAX = 16384, /* a quarter of the mappings Linux gives a process */
	WORKER_DRAIN_MS = 5000,     /* time for clients to take their replies at the end */
	WORKER_IDLE_MS = 3000,      /* without clients: tell the master, or end if there is none */
	WORKER_ORPHAN_MS =
		5000, /* the same, when the master has just gone: for the next one to come */
};

struct errand;
struct notify;
struct order;
struct resize;
struct snapshot;
struct survey;

struct worker_config {
	const char *image;       /* for status */
	const char *export_name; /* "" = default */
	bool readonly;           /* it was told to be */
	unsigned lanes;
	enum engine_kind engine;
	struct lane_limits limits;                /* buffer_bytes: of the whole worker */
	uint64_t limit_requests, limit_bandwidth; /* a second, 0 = none */
	bool one_client; /* ends with its only client (--inetd, --connected-fd) */
	bool of_master;  /* clients come by control connection; ends when idle and orphaned */
};

struct worker {
	struct reactor reactor;
	struct worker_config config;
	struct storage *storage;
	struct io_threads *threads;
	struct lane lanes[WORKER_LANES_MAX];
	unsigned lanes_ready;
	struct lobby lobby;
	struct listeners *files;     /* of the lobby; NULL = none to remove */
	const struct notify *notify; /* is told of the end; NULL = nobody */
	struct worker_ctl {
		struct ctl_server server;
		char path[SOCK_UNIX_PATH_MAX + 1]; /* removed at the end; "" = none */
	} ctl[WORKER_CONTROLS_MAX];                /* with a master its own comes first */
	unsigned ctl_count;
	/* worker_adopt.c */
	struct ctl_conn *master;   /* its connection; NULL = there is none (now) */
	struct ctl_conn *adopting; /* of the next one, while the last words of this one are read */
	bool was_adopted;          /* has, or had, a master that said so */
	const char *began_as;      /* mode; a proxy becomes a target */
	struct proc_signals signals;
	struct errand *errands; /* control commands under way */
	/* worker_proxy.c: what was last told of a proxy */
	struct reactor_task proxy_news;
	struct reactor_timer proxy_timer;
	_Atomic bool proxy_posted;
	struct {
		int copy, origin; /* enum copier_state, enum origin_state */
		bool switched;
	} proxy_seen;
	/* worker_snapshot.c */
	struct snapshot *snapshots;
	struct snapshot *pointing; /* the one whose point is being fixed */
	bool making_snapshot;
	uint64_t last_snapshot; /* id */
	struct resize *resize;  /* worker_resize.c: under way; NULL = none */
	/* worker_rules.c */
	struct throttle throttle;
	struct order *orders;
	struct reactor_timer idle;
	struct reactor_timer grace;
	unsigned clients;                         /* in lanes */
	uint64_t last_id;                         /* of clients that came without a master */
	struct conn *first_client, **last_client; /* in the order they came */
	uint64_t clients_seen;                    /* in all */
	/* worker_stats.c */
	struct survey *surveys;
	struct tally gone; /* of clients that have left */
	uint64_t since;    /* s of the epoch */
	enum { WORKER_RUNS, WORKER_DRAINS, WORKER_KILLS } state;
};

/* Before anything listens: what ends a worker waits from here on until it runs. */
void worker_hold_signals(void);
/* Takes ST. On failure call worker_done() too. */
int worker_init(
	struct worker *w, const struct worker_config *config, struct storage *st, struct err *err);
/* Tells everybody who is connected for control; takes EVENT. In the main thread. */
void worker_tell(struct worker *w, json_t *event);

/* Takes the listening FD of a control socket; PATH is removed at the end unless NULL. */
int worker_control(struct worker *w, int fd, const char *path, struct err *err);
/* Starts the lanes and runs until the end: 0, or -errno, also of the last flush. */
int worker_run(struct worker *w);
void worker_done(struct worker *w);

/* A client in transmission. */
struct worker_client {
	int fd;      /* non-blocking */
	uint64_t id; /* 0: the worker chooses one and tells no master */
	struct features agreed;
	struct snapshot *snapshot; /* what it is served; NULL = the export itself */
	bool readonly;             /* it was told so, though the export is not */
	uint64_t told; /* size it was told, 0 = unknown: if that has changed it is ended */
};

/* Takes the descriptor. */
void worker_add_client(struct worker *w, const struct worker_client *client);
/* Starts the orderly end. */
void worker_stop(struct worker *w);

/* worker_ctl.c: answers one control request. */
void worker_ctl_request(struct ctl_server *s, struct ctl_conn *c, json_t *msg, int fd);

#endif
