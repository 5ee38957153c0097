/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A request from its header to its reply, and the one place where requests are refused.
 *
 * A request lives in a slot of its lane from the time its header is decoded until the last byte
 * of its reply is sent (or its connection is gone). It never changes its lane.
 */
#ifndef SERVER_REQUEST_H
#define SERVER_REQUEST_H

#include "claim.h"
#include "engine.h"
#include "feature.h"
#include "nbd.h"
#include "storage.h"

enum {
	REQUEST_PIECES = 4,                     /* ios in flight for one request */
	REQUEST_PAYLOAD_MAX = 64 * 1024 * 1024, /* longest READ reply or WRITE payload */
	REQUEST_STATUS_BYTES = 32 * 1024,       /* room for the extents of one BLOCK_STATUS reply */
	REQUEST_TEXT_MAX = 80,                  /* error text sent in structured replies */
};

struct conn;

struct request {
	struct nbd_request nbd;
	struct conn *conn;
	/* Where its data is, one of these or none: */
	uint8_t *data;         /* pool buffer: payload, read data, extents */
	struct pipe *pipe;     /* of a long read: holds references to its pages */
	struct window *window; /* of a short read of cached blocks: they are seen at `view` */
	const uint8_t *view;   /* for system calls only, see windows.h */
	size_t data_cost;      /* bytes of memory behind `data` */
	size_t filled;         /* payload bytes received so far */
	uint64_t pos;          /* read/write: bytes of the range handed to ios so far */
	unsigned running;      /* ios in flight */
	uint64_t began;        /* ns (clock_ns()), when all of it was here */
	int error;             /* errno of the first failure, 0 = none */
	const char *text;      /* why, for people; static, may be NULL */
	int extents;           /* BLOCK_STATUS: number found */
	bool inside;           /* the gate of its lane */
	bool prepared;         /* the storage wants to be told when it is over */
	/* While it waits for blocks, or works on some nobody else may touch (layer.h): */
	struct claim claim;
	struct waiter waiter;
	struct reactor_task wake;
	struct io ios[REQUEST_PIECES];
	/* the reply */
	uint8_t head[NBD_REPLY_HEADER_MAX + 6 + REQUEST_TEXT_MAX];
	size_t head_len;
	size_t data_len; /* bytes of data that belong to the reply */
	struct request *next;
};

/* What a request is checked against. */
struct request_rules {
	uint64_t size;      /* of the export */
	uint16_t flags;     /* transmission flags announced */
	uint32_t block_min; /* bytes */
	uint32_t block_max; /* bytes, longest payload; at most REQUEST_PAYLOAD_MAX */
	struct features agreed;
};

/*
 * 0 if the request may run, else the errno to answer with, and a sentence in *ret_text. Pure.
 * Order: unknown command, flags, read-only, range, size, alignment.
 */
int request_check(
	const struct nbd_request *rq, const struct request_rules *rules, const char **ret_text);

/* For one that passed the check when the export was longer: the errno of a range beyond SIZE, or 0.
 */
int request_beyond(const struct nbd_request *rq, uint64_t size, const char **ret_text);

/* Does it change data of the export? */
bool request_modifies(const struct nbd_request *rq);

/* Bytes of payload that follow the header, whatever becomes of the request. */
uint64_t request_payload(const struct nbd_request *rq, bool extended);

/* Bytes of buffer the request needs while it runs; 0 = none. */
size_t request_buffer(const struct nbd_request *rq);

#endif
