/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages between the master and its negotiator (one binary, so one version; sent by chan.h).
 *
 * The negotiator owns the listeners and every handshake. It knows names, not files: what an
 * export is like it asks the master (LOOKUP), and a client whose handshake is complete goes to
 * the master with its socket (ENTER). While a server runs and no limit is near, the negotiator may
 * keep what it was told and answer by itself, until it is told to ASK again.
 */
#ifndef WRAPPER_IPC_H
#define WRAPPER_IPC_H

#include <stdbool.h>
#include <stdint.h>

#include "export.h"
#include "feature.h"
#include "sock.h"

enum ipc_type {
	/* master to negotiator */
	IPC_LISTENER = 1, /* no body, fd = listening socket */
	IPC_EXPORT,       /* struct ipc_export + strings */
	IPC_FORGET,       /* uint32_t export id */
	IPC_FACTS,        /* struct ipc_facts: answer to a LOOKUP */
	IPC_REFUSE,       /* struct ipc_refuse: the other answer */
	IPC_ASK,          /* uint32_t export id: keeps its facts no longer */
	IPC_SHUTDOWN,     /* no body: accept no more, answer options with ERR_SHUTDOWN */
	/* negotiator to master */
	IPC_LOOKUP = 100, /* struct ipc_lookup */
	IPC_ENTER,        /* struct ipc_enter, fd = the client */
	IPC_LOG,          /* struct ipc_log */
};

struct ipc_export {
	uint32_t id;
	bool is_default, is_snapshot;
	uint16_t name_len, description_len; /* bytes that follow, both without a final zero */
};

struct ipc_facts {
	uint64_t client;
	uint32_t keep; /* id of the export whose facts may be kept; NEG_NO_EXPORT = none */
	struct export_facts facts;
};

struct ipc_refuse {
	uint64_t client;
	uint32_t reply; /* NBD_REP_ERR_* */
	char text[128];
};

struct ipc_lookup {
	uint64_t client;
	uint32_t export_id;
	bool final;               /* the client means to enter */
	char host[SOCK_NAME_MAX]; /* of the peer, what limits count by */
};

struct ipc_enter {
	uint32_t export_id;
	struct features features;
	struct sock_peer peer;
};

struct ipc_log {
	uint32_t level;
	char text[1024];
};

#endif
