/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What xnbd-wrapper-ctl --reload shows: a plan line by line, or all faults. */
#ifndef WRAPPER_CTL_RELOAD_H
#define WRAPPER_CTL_RELOAD_H

#include <jansson.h>

#include "options.h"

/* ANSWER may be a refusal. Returns an exit status. */
int ctl_reload_finish(const struct ctl_options *o, json_t *answer);

/* Judges a file by itself. Returns an exit status. */
int ctl_reload_offline(const struct ctl_options *o);

#endif
