/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What xnbd-stonithd does all day, under one configuration: audits. Each PDU has its lane, which
 * stays, and a round of its own; so one that is dead or slow delays no other. What is found is
 * logged when it begins and when it is over (watch_find.h). Nothing is ever set but the cancel of a
 * TEST (fence.h), and, if the configuration says so, our own outlets on (watch_repair.h).
 */
#ifndef STONITH_WATCH_H
#define STONITH_WATCH_H

#include "config.h"
#include "reactor.h"

#include <jansson.h>

struct watch;

/* Starts the helpers. CHANGED is called after each round of a PDU, never by another call. NULL: no
 * memory. */
struct watch *watch_new(
	struct reactor *r, const struct config *c, void (*changed)(void *arg), void *arg);
/* NULL is fine. What is under way is given up. */
void watch_free(struct watch *w);

/* Of a new configuration: goes on where OLD was, so that nothing is said again. Before
 * watch_start(); OLD is to be freed then. */
void watch_take_over(struct watch *w, struct watch *old);

/* The first audit begins, others follow. */
void watch_start(struct watch *w);
/* One more at once; a PDU that is in the middle of one begins another when it is over. */
void watch_now(struct watch *w);

/* How many there are now. */
size_t watch_findings(const struct watch *w);
/* Has every PDU, and every node behind a proxy, been looked at? */
bool watch_is_complete(const struct watch *w);
/* Is it switching on outlets of ours right now? Then it is not the moment to free it. */
bool watch_is_switching(const struct watch *w);

/* All of that for people and programs: findings, pdus, nodes, repair, metrics. NULL: no memory. */
json_t *watch_status(const struct watch *w);

#endif
