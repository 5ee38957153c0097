/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exports whose image or device has another size now. The servers look, as they have it open, and
 * end whoever was told another size, between requests; here is who asks them, when, and what the
 * master does with the answer.
 */
#ifndef WRAPPER_RESIZE_H
#define WRAPPER_RESIZE_H

#include <jansson.h>

#include "exports.h"

struct master;
struct worker;

enum { RESIZE_LOOK_MS = 5000, RESIZE_MS = 60 * 1000 };

/* A server's event: from now on clients are told the new size. */
void resize_event(struct worker *w, json_t *msg);

/* The same from the answer to a question, which may be heard of before the event. */
void resize_answered(struct master *m, uint32_t export_id, json_t *answer);

/* Why the size of E cannot be changed, and what to do then; NULL = it can. */
const char *resize_refusal(const struct master *m, const struct export_entry *e);

/* A question to a server: only to look, or to take a size that is less too. */
json_t *resize_request(bool look, bool force);

/* At the start, and when options->poll_sizes has changed: looks again and again. */
void resize_poll(struct master *m);
/* At the end of the master. */
void resize_end(struct master *m);

#endif
