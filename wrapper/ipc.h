/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages between the master and its negotiator (one binary, so one version, but for an upgrade of
 * the master: see retired.h; sent by chan.h).
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
#include "peers.h"
#include "sock.h"

/* Raised with any change below: a negotiator that is retired talks to a newer master. */
enum { IPC_VERSION = 1 };

enum ipc_type {
	/* master to negotiator */
	IPC_LISTENER = 1, /* no body, fd = listening socket */
	IPC_EXPORT,       /* struct ipc_export + strings; `rules` IPC_RULEs follow */
	IPC_COMMON,       /* uint32_t: so many IPC_RULEs for all exports follow */
	IPC_RULE,         /* struct ipc_rule */
	IPC_FORGET,       /* uint32_t export id */
	IPC_FACTS,        /* struct ipc_facts: answer to a LOOKUP */
	IPC_REFUSE,       /* struct ipc_refuse: the other answer */
	IPC_ASK,          /* uint32_t export id: keeps its facts no longer */
	IPC_LOG_LEVEL,    /* uint32_t enum log_level: what it need not send */
	IPC_TIMEOUT,      /* uint32_t ms: each option of a handshake may take that long */
	IPC_RETIRE,       /* no body: accept no more, ask again what was not answered, end with the
			   * last handshake */
	IPC_SHUTDOWN,     /* no body: accept no more, answer options with ERR_SHUTDOWN */
	IPC_SYNC,         /* uint64_t, to be said back when all before it is known */
	/* negotiator to master */
	IPC_LOOKUP = 100, /* struct ipc_lookup */
	IPC_ENTER,        /* struct ipc_enter, fd = the client */
	IPC_LOG,          /* struct ipc_log */
	IPC_SYNCED,       /* uint64_t of an IPC_SYNC */
};

struct ipc_export {
	uint32_t id;
	bool is_default, is_snapshot;
	uint16_t name_len, description_len; /* bytes that follow, both without a final zero */
	uint32_t rules;
};

enum ipc_rule_list { IPC_RULE_ALLOW, IPC_RULE_DENY, IPC_RULE_READONLY, IPC_RULE_LISTS };

struct ipc_rule {
	uint32_t list; /* enum ipc_rule_list */
	struct peers_rule rule;
};

struct ipc_facts {
	uint64_t client, question;
	uint32_t keep; /* id of the export whose facts may be kept; NEG_NO_EXPORT = none */
	struct export_facts facts;
};

struct ipc_refuse {
	uint64_t client, question;
	uint32_t reply; /* NBD_REP_ERR_* */
	char text[ERR_TEXT_MAX];
};

struct ipc_lookup {
	uint64_t client;
	uint64_t question; /* the answer has it too; to an older one nobody listens */
	uint32_t export_id;
	bool final; /* the client means to enter */
	/* Of the peer, for the answer; when the client enters the master looks for itself. */
	char host[SOCK_NAME_MAX];
	struct peers_id id;
};

struct ipc_enter {
	uint32_t export_id;
	struct features features;
	uint64_t told; /* what it was told: the size, */
	bool readonly; /* and whether it may write */
};

struct ipc_log {
	uint32_t level;
	char peer[SOCK_NAME_MAX]; /* the client it is about, "" = none */
	char text[1024];
};

#endif
