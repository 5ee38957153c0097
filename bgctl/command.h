/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands: what is sent to the server, and what is made of its answer. */
#ifndef BGCTL_COMMAND_H
#define BGCTL_COMMAND_H

#include <jansson.h>

#include "options.h"

/* The request; NULL if an argument is not valid UTF-8 and so has no place in JSON. */
json_t *command_request(const struct bgctl_options *o);

/* Asks, waits where that is wanted, prints. Returns an exit status, explained on stderr. */
int command_run(const struct bgctl_options *o);

#endif
