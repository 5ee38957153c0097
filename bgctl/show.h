/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers as text: "key: value" lines for people and scripts. Texts of the server are escaped. */
#ifndef BGCTL_SHOW_H
#define BGCTL_SHOW_H

#include <jansson.h>
#include <stdio.h>

void show_query(FILE *out, const json_t *answer);

/* A line each: ID STATE PATH (details). */
void show_snapshots(FILE *out, const json_t *answer);

/* One snapshot, as the answer to "snapshot" or a member of the list tells of it. */
void show_snapshot(FILE *out, const json_t *snapshot);

void show_verify(FILE *out, const json_t *answer);

/* An object without "v" and "ok", or an array. All but ASCII is escaped. */
void show_json(FILE *out, const json_t *value);

#endif
