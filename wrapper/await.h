/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ending servers, and with them their clients between requests, and answering who asked for that
 * when they have ended: then images and devices are free.
 */
#ifndef WRAPPER_AWAIT_H
#define WRAPPER_AWAIT_H

#include <jansson.h>

#include "ctl.h"

struct master;
struct await;

enum { AWAIT_MS = 20 * 1000 };

/* NULL without memory. */
struct await *await_new(struct master *m);
/* The servers of this export and of its snapshots are meant, while it is in the table. */
void await_add(struct await *a, uint32_t export_id);
/* Tells them to end; how many clients they have. */
unsigned await_stop(struct await *a);
/*
 * C, which is paused, gets REPLY (taken) when they have ended, or after AWAIT_MS, and goes on. A is
 * taken. C = NULL: nobody is answered. Not from inside a message of C.
 */
void await_answer(struct await *a, struct ctl_conn *c, json_t *reply);

/* It is not wanted after all; tells no server. */
void await_free(struct await *a);

/* From the worker. */
void await_worker_gone(struct master *m);
/* The connection C is gone. */
void await_gone(struct master *m, struct ctl_conn *c);
/* At the end of the master. */
void await_end(struct master *m);

#endif
