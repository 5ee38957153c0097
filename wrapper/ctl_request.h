/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the command line of xnbd-wrapper-ctl to a request of the control protocol. */
#ifndef WRAPPER_CTL_REQUEST_H
#define WRAPPER_CTL_REQUEST_H

#include <jansson.h>

#include "err.h"
#include "options.h"

/*
 * Is this a command with as many operands as it takes, and options that go with it? A command
 * written as the first operand is taken (see ctl_action_of_word()): *ARGS and *COUNT then begin
 * behind it, and o->action is set. 0 or -EINVAL.
 */
int ctl_request_check(struct ctl_options *o, char ***args, int *count, struct err *err);

/*
 * The request; paths are made absolute, for the wrapper's working directory is another. NULL: an
 * operand is no number where one is needed, or not UTF-8.
 */
json_t *ctl_request_build(const struct ctl_options *o, char **args, int count);

/* How long to wait for the answer, ms. */
int ctl_request_timeout(const struct ctl_options *o);

#endif
