/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control protocol of all daemons: a unix stream socket, one JSON object a line.
 *
 *	request   {"v": 1, "cmd": "list", ...arguments}
 *	answer    {"v": 1, "ok": true, ...result}    or  {"v": 1, "ok": false, "error": "one line"}
 *	event     {"v": 1, "event": "idle", ...}     from a worker to its master, unasked
 *
 * Requests may be pipelined; answers come in the same order. A request may carry one file
 * descriptor (SCM_RIGHTS) and then says "fd": true. Another "v" is refused with an error answer.
 * Peers are checked by SO_PEERCRED: root, the user the daemon runs as, or members of a group.
 */
#ifndef LIB_CTL_H
#define LIB_CTL_H

#include <jansson.h>
#include <sys/types.h>

#include "buf.h"
#include "err.h"
#include "reactor.h"

enum {
	CTL_VERSION = 1,
	CTL_LINE_MAX = 64 * 1024,          /* longest request */
	CTL_ANSWER_MAX = 64 * 1024 * 1024, /* longest answer */
	CTL_HOLD = 1024 * 1024,            /* of answers nobody reads */
	CTL_FDS_MAX = 64,                  /* descriptors received and not yet claimed */
	CTL_CLIENTS_MAX = 64,
};

struct ctl_conn;
struct ctl_out;

/*
 * Holds answers back until what they tell of has arrived where it matters: one is sent when
 * `settled` has reached the `wanted` of the moment when it was given to be sent. The owner raises
 * both, and then calls ctl_server_settled().
 */
struct ctl_gate {
	uint64_t wanted, settled;
};

struct ctl_ops {
	/* One message. FD is -1 or the callee's. MSG stays the caller's. C may be closed in here.
	 */
	void (*message)(struct ctl_conn *c, json_t *msg, int fd);
	/* Gone, after which C's memory may be freed; ctl_conn_done() was already called. */
	void (*closed)(struct ctl_conn *c);
};

/* One connection, of either side. */
struct ctl_conn {
	struct reactor *reactor;
	struct reactor_watch watch;
	const struct ctl_ops *ops;
	int fd;
	struct buf in;
	struct ctl_out *out, **out_last; /* queued messages */
	size_t queued;                   /* bytes of all of them */
	int fds[CTL_FDS_MAX];            /* received, oldest first */
	unsigned fds_count;
	const struct ctl_gate *gate; /* NULL = none */
	uid_t uid;                   /* of the peer */
	bool closing;                /* close once everything is sent */
	bool paused;                 /* an answer comes later; nothing is read meanwhile */
	bool patient; /* no request is taken while CTL_HOLD bytes wait to be read by the peer */
};

/* Takes FD, which must be non-blocking. 0 or -errno. */
int ctl_conn_init(struct ctl_conn *c, struct reactor *r, int fd, const struct ctl_ops *ops);
void ctl_conn_done(struct ctl_conn *c);

/* Sends MSG (its reference is taken, "v" is added) with FD (-1 = none; taken). 0 or -errno. */
int ctl_send(struct ctl_conn *c, json_t *msg, int fd);
/* What waits, as far as the gate and the socket allow. */
void ctl_send_queued(struct ctl_conn *c);
int ctl_send_error(struct ctl_conn *c, const char *text);
/* The same for long messages that were written piece by piece: TEXT (copied) is LEN bytes of JSON
 * on one line, an object with its "v". */
int ctl_send_text(struct ctl_conn *c, const char *text, size_t len);
/* {"ok": true} to fill and send. */
json_t *ctl_ok(void);

/* For answers that take time: no further message is delivered until ctl_resume(), which must not be
 * called inside message(): that one is not over. What a peer has sent is carried out to the end, if
 * it leaves meanwhile too. */
void ctl_pause(struct ctl_conn *c);
void ctl_resume(struct ctl_conn *c);

/* The "cmd" of a request; sends the error itself and returns NULL if it is none of version 1. */
const char *ctl_command(struct ctl_conn *c, json_t *msg);

/*
 * Accepts peers who are root, our own user or of our group; everybody else gets an error line. They
 * are `patient`, so a peer costs little memory whatever it sends.
 */
struct ctl_server;
struct ctl_server_ops {
	void (*request)(struct ctl_server *s, struct ctl_conn *c, json_t *msg, int fd);
	void (*gone)(struct ctl_server *s, struct ctl_conn *c); /* may be NULL */
};

struct ctl_client;
struct ctl_server {
	struct reactor *reactor;
	struct reactor_watch watch;
	const struct ctl_server_ops *ops;
	int fd;                     /* listening */
	struct reactor_timer pause; /* accept again after running out of descriptors */
	bool shared;                /* with the members of `group` */
	gid_t group;
	struct ctl_client *clients;
	unsigned count;
	const struct ctl_gate *gate; /* for all who come from now on */
	void *owner;                 /* the caller's, after ctl_server_init() */
};

/* Takes the listening FD. 0 or -errno. */
int ctl_server_init(
	struct ctl_server *s, struct reactor *r, int fd, const struct ctl_server_ops *ops);
/* From now on members of GROUP may control it too. */
void ctl_server_share(struct ctl_server *s, gid_t group);
void ctl_server_done(struct ctl_server *s);
/* Takes a connected FD, non-blocking, as if it had been accepted. NULL without memory. */
struct ctl_conn *ctl_server_admit(struct ctl_server *s, int fd);
/* The gate is open, further than before. */
void ctl_server_settled(struct ctl_server *s);
/* Calls FN for every connection. */
void ctl_server_each(struct ctl_server *s, void (*fn)(void *arg, struct ctl_conn *c), void *arg);
/* Sends a copy of MSG (borrowed) to every connection. */
void ctl_server_broadcast(struct ctl_server *s, json_t *msg);

/*
 * Tools: one request (taken), one answer, blocking, at most TIMEOUT_MS. An answer with ok = false
 * becomes -EREMOTEIO with its text. Events that come first are passed over. *ret is the caller's to
 * json_decref().
 */
int ctl_call(const char *path, json_t *request, int timeout_ms, json_t **ret, struct err *err);
/* The same for those who read more of a refusal than its text: 0 also if ok = false. */
int ctl_ask(const char *path, json_t *request, int timeout_ms, json_t **ret, struct err *err);
/* 0, or -EREMOTEIO with the text if ANSWER has ok = false. */
int ctl_refusal(const json_t *answer, struct err *err);

#endif
