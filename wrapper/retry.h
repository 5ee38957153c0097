/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clients of an export whose server has failed, while it is not to be started again yet
 * (backoff.h). A short wait they do not notice: the server is held until then. Of a longer one they
 * are told; but if it was the image that could not be opened, that is tried, and once it can be,
 * nobody waits any more.
 */
#ifndef WRAPPER_RETRY_H
#define WRAPPER_RETRY_H

#include <stdbool.h>

#include "ipc.h"

struct master;

enum { RETRY_HOLD_MS = 1000 };

/* True: WHO is answered here. False: the server may be started, or runs. */
bool retry_later(struct master *m, const struct ipc_lookup *who);

#endif
