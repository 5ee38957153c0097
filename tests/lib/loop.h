/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Running a reactor step by step in tests. */
#ifndef TESTS_LIB_LOOP_H
#define TESTS_LIB_LOOP_H

#include "reactor.h"

/* Until reactor_stop(); may be called again and again. */
void loop_run(struct reactor *r);

/* One turn that does not wait: what is ready now is delivered, due timers fire. */
void loop_turn(struct reactor *r);
void loop_turns(struct reactor *r, unsigned count);

/* Turns until *DONE. */
void loop_until(struct reactor *r, const bool *done);

#endif
