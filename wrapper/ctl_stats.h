/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What servers do, as tables: since their start, or what changed from one look to the next. */
#ifndef WRAPPER_CTL_STATS_H
#define WRAPPER_CTL_STATS_H

#include <jansson.h>
#include <stdio.h>

#include "options.h"

/*
 * ANSWER is that of `stats`. BEFORE: an earlier one, taken SECONDS before; then requests and bytes
 * are shown per second. NULL: as counted. NAME: the export that was asked for, whose clients are
 * shown, or NULL.
 */
void ctl_stats_print(json_t *answer, json_t *before, double seconds, const char *name, FILE *out);

/* Asks and shows until SIGINT or SIGTERM, or until there is no answer; returns the exit status. */
int ctl_stats_watch(const struct ctl_options *o, json_t *request, int timeout_ms);

#endif
