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
};

struct errand;
struct snapshot;

struct worker_config {
	const char *image;       /* for status */
	const char *export_name; /* "" = default */
	unsigned lanes;
	enum engine_kind engine;
	struct lane_limits limits; /* buffer_bytes: of the whole worker */
	bool one_client;           /* ends with its only client (--inetd, --connected-fd) */
	bool of_master; /* clients come by control connection; ends when idle and orphaned */
};

struct worker {
	struct reactor reactor;
	struct worker_config config;
	struct storage *storage;
	struct io_threads *threads;
	struct lane lanes[WORKER_LANES_MAX];
	unsigned lanes_ready;
	struct lobby lobby;
	struct listeners *files; /* of the lobby; NULL = none to remove */
	struct worker_ctl {
		struct ctl_server server;
		char path[SOCK_UNIX_PATH_MAX + 1]; /* removed at the end; "" = none */
	} ctl[WORKER_CONTROLS_MAX];                /* with a master its own comes first */
	unsigned ctl_count;
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
	struct reactor_timer idle;
	struct reactor_timer grace;
	unsigned clients; /* in lanes */
	uint64_t last_id; /* of clients that came without a master */
	enum { WORKER_RUNS, WORKER_DRAINS, WORKER_KILLS } state;
};

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

/* Takes the non-blocking FD of a client in transmission. ID 0: the worker chooses one and tells no
 * master. SNAPSHOT: what it is served; NULL = the export itself. */
void worker_add_client(struct worker *w, int fd, uint64_t id, const struct features *agreed,
	struct snapshot *snapshot);
/* Starts the orderly end. */
void worker_stop(struct worker *w);

/* worker_ctl.c: answers one control request. */
void worker_ctl_request(struct ctl_server *s, struct ctl_conn *c, json_t *msg, int fd);

#endif
