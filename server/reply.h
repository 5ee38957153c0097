/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Replies: from the outcome of a request to the bytes of its header. Pure. */
#ifndef SERVER_REPLY_H
#define SERVER_REPLY_H

#include "request.h"

/*
 * Fills rq->head, head_len and data_len from rq->error, text, extents and the command. What goes
 * out is head[0..head_len) and then data[0..data_len).
 */
void reply_build(struct request *rq, const struct features *agreed);

/* Turns the `count` struct extents in rq->data into wire entries, in place; returns their bytes. */
size_t reply_pack_extents(struct request *rq, int count, bool extended);

#endif
