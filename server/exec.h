/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Carrying out requests: prepare, map, move, commit; or one blocking call in a thread. */
#ifndef SERVER_EXEC_H
#define SERVER_EXEC_H

#include "request.h"

/* A slot with what the data of a request needs that is NEED bytes long; NULL: no room now. */
struct request *exec_slot(struct conn *c, const struct nbd_request *nbd, size_t need);

/*
 * RQ was checked and its payload is complete. conn_reply() follows, before the return or later.
 */
void exec_start(struct request *rq);

/* The same for one that was held since (gate.h); the export may have become shorter meanwhile. */
void exec_go_on(struct request *rq);

/* For storages: a prepare() that returned 1 shall be asked again. From any thread, once. */
void exec_wake(struct request *rq);
/* For storages: the end of a commit() that returned 1; RESULT is 0 or -errno. In its lane. */
void exec_committed(struct request *rq, int result);

#endif
