/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One request to the server behind CONTROL, and a line for people if nobody can be asked there. */
#ifndef BGCTL_CALL_H
#define BGCTL_CALL_H

#include <jansson.h>

#include "err.h"

enum {
	CALL_QUICK_MS = 30 * 1000,          /* what a server answers from memory */
	CALL_PATIENT_MS = 24 * 3600 * 1000, /* what moves data: ends by the answer, or Ctrl-C */
};

/*
 * REQUEST is taken. 0 and *ret, also for an answer with ok = false (see ctl_refusal()); else
 * -errno: -ETIMEDOUT if no answer came in time, -ENOENT and -ECONNREFUSED if nobody is there.
 */
int call_server(
	const char *control, json_t *request, int timeout_ms, json_t **ret, struct err *err);

/* "query", refusals included in the errors. */
int call_query(const char *control, int timeout_ms, json_t **ret, struct err *err);

#endif
