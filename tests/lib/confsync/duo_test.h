/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of two nodes (duo.h) with cmocka: each begins with a set of three files on n1, and writer =
 * 'any'. Without root they are skipped. */
#ifndef TESTS_LIB_CONFSYNC_DUO_TEST_H
#define TESTS_LIB_CONFSYNC_DUO_TEST_H

#include "duo.h"

#define DUO_KEYS "writer = 'any' "

extern struct duo duo;
extern const struct sync_order duo_plain; /* as of the daemon */

int duo_set_up(void **state);
int duo_tear_down(void **state);

/* R is success, and its plan ACTION. R. */
struct sync_result duo_good(struct sync_result r, enum plan_action action);
/* NODE finds nothing to do, and rightly so. */
void duo_in_step(int node);
/* Generation 1 on both. */
void duo_start(void);

#endif
