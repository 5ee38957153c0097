/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What PDUs tell of a node's outlets besides their states: what they are called there, and how much
 * they deliver. A name that is not the configured one may mean that a cable was moved.
 */
#ifndef STONITH_SURVEY_H
#define STONITH_SURVEY_H

#include "config.h"
#include "reactor.h"

enum { SURVEY_NAME_MAX = 128, SURVEY_WHY_MAX = 128 };

struct survey_outlet {
	bool asked;    /* its profile has names */
	bool has_name; /* NAME is what the PDU said, printable; it may be "" */
	char name[SURVEY_NAME_MAX];
	bool has_watts;
	int32_t watts;
	char why[SURVEY_WHY_MAX]; /* why there is no answer; "" = there is one */
};

struct survey;

/*
 * Asks all PDUs of NODE, which has outlets of its own, at the same time. DONE is called once, never
 * by this call; it must not free. NULL: no memory.
 */
struct survey *survey_new(
	struct reactor *r, const struct config_node *node, void (*done)(void *arg), void *arg);
void survey_free(struct survey *s);

const struct survey_outlet *survey_outlet(const struct survey *s, size_t outlet);

/* Is it called otherwise than the configuration says? */
bool survey_differs(const struct config_outlet *o, const struct survey_outlet *found);

#endif
