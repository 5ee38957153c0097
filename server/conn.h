/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One NBD connection in transmission: receives requests, sends replies, keeps its share of memory.
 *
 * It reads as long as it has room for the next request; without room (its own limits, or the
 * lane's slots and buffers) it stops reading and the client's socket fills up. Replies go out in
 * order of completion, all that are ready by one sendmsg at the end of the turn.
 */
#ifndef SERVER_CONN_H
#define SERVER_CONN_H

#include "buf.h"
#include "feature.h"
#include "lane.h"
#include "limiter.h"
#include "log.h"
#include "nbd.h"
#include "sock.h"
#include "tally.h"

struct snapshot;

enum conn_state {
	CONN_OPEN,
	CONN_ENDING, /* reads no more; what was received is answered, then it ends */
	CONN_LINGER, /* our side is shut down; waits for the client to close */
	CONN_DEAD,   /* nothing is sent any more; ends when no io is in flight */
};

struct conn {
	struct lane *lane;
	int fd;
	uint64_t id;              /* given by the master, or by worker.c to those without one */
	char name[SOCK_NAME_MAX]; /* of the peer, for log lines */
	bool local;               /* a unix socket */
	struct storage *storage;  /* what it is served; the lane's, or one of its own */
	/* What it was told and agreed on; its size shrinks with the export and never grows. */
	struct request_rules rules;
	enum conn_state state;
	struct reactor_watch watch;
	struct reactor_task turn;  /* work at the end of the turn */
	struct snapshot *snapshot; /* that it is served; NULL = none */
	struct io closing;         /* of a storage of its own, in a thread */
	struct reactor_task adopt; /* main thread to lane, and back when it has ended */
	struct reactor_timer linger;
	/* We end it: between requests if there is such a moment soon, else it becomes deaf. */
	bool leaving;
	bool deaf;            /* its socket is read no more; what was received is answered */
	bool outdated;        /* it was told what is no longer so: ends as soon as it begins */
	uint64_t leave_moved; /* bytes, when we last looked at how it leaves */
	uint64_t linger_end;  /* ms: the client is waited for up to then */
	uint64_t rest_since, rest_moved; /* ms and bytes: conn_is_idle() */
	struct limiter_debt debt;
	struct conn *next, **link; /* in the lane */
	struct conn *next_waiting;
	bool is_waiting;
	bool blocked;                     /* no room for `pending`, or it is to wait */
	bool send_full;                   /* the socket takes no more for now */
	bool grown;                       /* the socket has been given more room */
	uint64_t moved;                   /* bytes received and sent */
	uint64_t window_at, window_moved; /* ms and bytes: conn_is_stalled() */
	/* receiving */
	uint8_t head[NBD_REQUEST_EXT_BYTES]; /* incomplete header */
	size_t head_len;
	struct nbd_request pending; /* decoded, waits for room */
	struct request *filling;    /* its payload is being received */
	uint64_t skip;              /* payload bytes of `filling` to throw away */
	struct buf stash;           /* received, not looked at yet: only while blocked */
	/* in flight, from slot to the last byte sent */
	unsigned requests;
	size_t bytes;
	struct request *out, **out_last; /* replies to send */
	size_t out_sent;                 /* bytes of the first one already sent */
	struct request *fresh;           /* the first of them whose time was not taken yet */
	struct tally tally;
	/* worker.c's */
	bool of_master;     /* it is told when this one has gone */
	uint64_t since;     /* s of the epoch */
	uint64_t number;    /* in the order they came */
	struct conn *later; /* the client that came next */
	struct conn **earlier;
};

/* A line about this client; of many only some are logged. From any thread that may read its id. */
#define conn_log(c, level, ...)                                                                    \
	log_client(level, &(struct log_subject){.client = (c)->id, .peer = (c)->name}, __VA_ARGS__)

/* Takes FD, which must be non-blocking. NULL without memory (FD is closed then). */
struct conn *conn_new(int fd, uint64_t id, const struct features *agreed, uint16_t flags);
/* Closes and frees; the connection must have ended or never have begun. */
void conn_free(struct conn *c);

/* The rest in the lane's thread. */

/* Starts reading. */
void conn_begin(struct conn *c);
/* The outcome of RQ is known: sends the reply. */
void conn_reply(struct request *rq);
/*
 * Ends between requests, and none gets an error: all that was received is answered. A client that
 * never rests is read no more after a while, and asks again on its next connection.
 */
void conn_leave(struct conn *c);
/* The export has SIZE bytes from now on. True: was told another size, and leaves for that. */
bool conn_resize(struct conn *c, uint64_t size);
/* Ends at once; c->lane->ended() follows when nothing is in flight. */
void conn_kill(struct conn *c);
/* The same, and the client learns of it before that. */
void conn_cut(struct conn *c);
/*
 * To be asked now and then while others wait for memory: true if this one holds some and moved
 * less than 64 KiB and a 64th of what it holds in STALL ms. A trickle is no progress.
 */
bool conn_is_stalled(struct conn *c, uint64_t now, uint64_t stall);

/* To be asked now and then: true if nothing was under way or came in for LIMIT ms. */
bool conn_is_idle(struct conn *c, uint64_t now, uint64_t limit);

/* Its end of the turn will be looked after. */
void conn_wake(struct conn *c);

/* conn_receive.c: takes in what the socket has; 1 = something, 0 = nothing there. */
int conn_receive(struct conn *c);
/* There may be room again. */
void conn_resume(struct conn *c);

/* conn_send.c: sends what is queued. 1 = all out, 0 = not yet (the socket is full, or it is
 * the turn of others), -1 = gone. */
int conn_send(struct conn *c);
/* Gives back its buffer before that: the reply is without data, and the next payload finds the
 * buffer still in the processor's cache. */
void conn_put_data(struct conn *c, struct request *rq);
/* Gives back a request whose reply is out, or that needs none. */
void conn_release(struct conn *c, struct request *rq);

#endif
