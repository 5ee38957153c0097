/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the audit log gets of a shot, as JSON, and the one line that people get. No side effects. */
#ifndef STONITH_RECORD_H
#define STONITH_RECORD_H

#include "shoot.h"

#include <jansson.h>

/* SHOT: the same in all lines of one shot. NULL: no memory. */
json_t *record_begin(const struct shoot_order *o, const char *shot);
/* OUTCOME: "done", "confirmed", "failed", "refused". STARTED: ms, by the plan's clock. */
json_t *record_end(const struct shoot_order *o, const char *shot, const struct shoot_result *r,
	const char *outcome, uint64_t started);

/* An outlet as an object: states, values, what is wrong with it. */
json_t *record_outlet(const struct shoot_result *r, size_t outlet);

/* Fills R->text by its plan. */
void record_text(const struct shoot_order *o, struct shoot_result *r);

/* What is wrong with an outlet: "no answer (on when last read)". False: it is as it should be. */
bool record_trouble(const struct shoot_result *r, size_t outlet, char *ret, size_t room);

#endif
