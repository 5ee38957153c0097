/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The judge of plansim.h: what a plan must hold to whatever happens. It ends the process with what
 * was broken. It is told of everything before the plan is.
 */
#ifndef TESTS_LIB_STONITH_PLANJUDGE_H
#define TESTS_LIB_STONITH_PLANJUDGE_H

#include "plansim.h"

void planjudge_end(struct plansim *s, const struct fence_step *step, enum fence_fault outcome);
/* Of O, by a request that began at BEGAN. */
void planjudge_read(
	struct plansim *s, struct plansim_outlet *o, enum outlet_state state, uint64_t began);
/* s->steps are about to begin. */
void planjudge_steps(struct plansim *s);
/* If there is one. */
void planjudge_verdict(struct plansim *s);

#endif
