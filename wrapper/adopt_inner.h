/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between adopt.c and adopt_match.c only. */
#ifndef WRAPPER_ADOPT_INNER_H
#define WRAPPER_ADOPT_INNER_H

#include "adopt.h"
#include "worker_inner.h"

/* Key of w->answer: what W has said since then. */
#define ADOPT_EVENTS "events"

/* It was asked, and may still answer. */
bool adopt_is_silent(const struct worker *w);

/* W has answered: gives it its export, or sets it apart. */
void adopt_match(struct worker *w);
/* The same for all that have answered; the others are waited for. 0 or -ENOMEM. */
int adopt_match_all(struct master *m);

/* adopt_apart.c: id of a worker that belongs to no export. */
uint32_t adopt_no_export(struct master *m);
/* For the reason FMT; a second one counts for nothing. */
__attribute__((format(printf, 2, 3))) void adopt_set_apart(struct worker *w, const char *fmt, ...);
/* As far as we know. */
unsigned adopt_clients(const struct worker *w);
/* Is TOLD, a server's word, the image of E? */
bool adopt_is_image(const struct export_entry *e, const char *told);

#endif
