/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How xnbd-confsync says hashes, sizes and times, to people and, with --json, to programs. */
#ifndef CONFSYNC_REPORT_H
#define CONFSYNC_REPORT_H

#include "generation.h"
#include "state.h"

#include <jansson.h>

enum { REPORT_SHORT = 9, REPORT_TEXT = 64 };

/* Takes DOCUMENT; NULL (no memory) is a failure that is seen by who reads it: nothing is written.
 */
void report_json(json_t *document);
json_t *report_hash(const uint8_t hash[MANIFEST_HASH]);
/* NULL and "" are null. */
json_t *report_text(const char *text);

/* The first digits of a digest. */
void report_short(const uint8_t hash[MANIFEST_HASH], char ret[REPORT_SHORT]);
/* "17 bytes", "3.4 MiB". */
void report_size(uint64_t bytes, char ret[REPORT_TEXT]);
/* Of a number and a word: "1 file", "2 files". */
void report_count(uint64_t n, const char *what, char ret[REPORT_TEXT]);
/* Seconds since 1970 as "2026-11-21 05:10:11"; 0: "?". */
void report_time(int64_t time, char ret[REPORT_TEXT]);
/* "12 s ago", "4 min ago", or when it was if that is another boot's; "never". */
void report_seen(const struct state_peer *p, char ret[REPORT_TEXT]);
/* Seconds since then, -1: not known, or of another boot. */
int64_t report_age(const struct state_peer *p);
/* Foreign text as one line to stdout; tabs stay. Without a newline at its end. */
void report_line(const char *text, size_t len);

#endif
