/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The few remote procedure calls we need, as bytes (ONC RPC 2, RFC 5531; XDR, RFC 4506):
 *
 *   SM_NOTIFY   program 100024 version 1 procedure 6: our name, our state (XNFS, chapter 11)
 *   GETPORT     rpcbind version 2 ("portmapper"): program, version, protocol -> port (RFC
 * 1833, 3.2) GETADDR     rpcbind version 3 and 4: the same by network id -> "universal address"
 * (RFC 1833, 2.2)
 *
 * Credentials are AUTH_NONE. Pure: nothing here reads beyond LEN or trusts a length it was sent.
 */
#ifndef SM_NOTIFY_RPC_H
#define SM_NOTIFY_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	RPC_RPCBIND_PORT = 111,
	RPC_NAME_MAX = 1024,                      /* bytes of a name in SM_NOTIFY */
	RPC_CALL_MAX = 40 + 4 + RPC_NAME_MAX + 4, /* the longest call, without a record mark */
	RPC_REPLY_MIN = 24,                       /* an accepted one without a result */
	RPC_REPLY_MAX = 1024,                     /* longer ones are not for us */
	RPC_MARK = 4,                             /* bytes of a record mark */
};

enum rpc_prot { RPC_UDP, RPC_TCP };

/* Ways to ask for the port of the status monitor. */
enum rpc_method { RPC_GETPORT, RPC_GETADDR3, RPC_GETADDR4, RPC_METHODS };

/* A question to rpcbind. */
struct rpc_query {
	enum rpc_method method;
	enum rpc_prot prot; /* we want to reach the status monitor by */
	bool v6;            /* and over */
	const char *to;     /* universal address of the rpcbind asked; GETADDR alone */
};

/* Each writes a call of at most RPC_CALL_MAX bytes and returns its length. */
size_t rpc_call_query(uint8_t *out, uint32_t xid, const struct rpc_query *q);
/* LEN is at most RPC_NAME_MAX. */
size_t rpc_call_notify(uint8_t *out, uint32_t xid, const char *name, size_t len, int32_t state);
/* The mark of a record of LEN bytes in one piece (RFC 5531, 11). */
void rpc_put_mark(uint8_t out[RPC_MARK], size_t len);

/* What the other side made of a call. */
enum rpc_answer {
	RPC_DONE,
	RPC_PROG_UNAVAIL,
	RPC_PROG_MISMATCH,
	RPC_PROC_UNAVAIL,
	RPC_GARBAGE_ARGS,
	RPC_SYSTEM_ERR,
	RPC_VERSION_DENIED, /* it speaks no RPC version 2 */
	RPC_AUTH_DENIED,
};

struct rpc_reply {
	uint32_t xid;
	enum rpc_answer answer;
	const uint8_t *result; /* with RPC_DONE: the bytes behind, in the buffer parsed */
	size_t len;
};

/* 0, or -EBADMSG: cut short, no reply, or nothing the protocol knows. */
int rpc_parse_reply(const uint8_t *bytes, size_t len, struct rpc_reply *ret);

/*
 * The result of a query; 0 = not registered there. -EBADMSG: cut short or no universal address,
 * -ERANGE: a number that is no port.
 */
int rpc_parse_port(enum rpc_method method, const struct rpc_reply *reply, uint16_t *ret);

/* The number that ties a call to its reply; false if there are not even that many bytes. */
bool rpc_xid(const uint8_t *bytes, size_t len, uint32_t *ret);

/* "program not available" and the like, for people. */
const char *rpc_answer_text(enum rpc_answer answer);

/* A reply on its way in over TCP, in as many fragments as it pleases the sender. */
struct rpc_record {
	uint8_t mark[RPC_MARK];
	uint8_t mark_len;
	bool last;      /* the fragment at hand ends the record */
	uint16_t marks; /* seen so far */
	uint32_t left;  /* bytes to come of the fragment at hand */
	size_t len;     /* bytes of the record so far */
	uint8_t bytes[RPC_REPLY_MAX];
};

void rpc_record_init(struct rpc_record *r);
/*
 * Takes what has arrived. 1: the record is complete, later bytes are ignored; 0: more has to come;
 * -EMSGSIZE: it would be longer than RPC_REPLY_MAX, or of more fragments than bytes.
 */
int rpc_record_feed(struct rpc_record *r, const uint8_t *bytes, size_t len);

#endif
