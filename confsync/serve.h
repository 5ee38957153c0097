/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The responder: `xnbd-confsync --serve NODE`, a forced command in authorized_keys of the peer's
 * key. NODE says whose key that is; it must be the peer of the configuration. Every path the other
 * side names passes config_allows() and beneath.h. SSH_ORIGINAL_COMMAND is not looked at.
 */
#ifndef CONFSYNC_SERVE_H
#define CONFSYNC_SERVE_H

#include "config.h"

/* Until the other side ends. Exit status. Never writes to OUT but frames; troubles go to the log
 * (syslog) and are told to the peer by `refuse`. */
int serve(const struct config *c, const char *node, int in, int out);

#endif
