/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What report.c and preview.c share: pieces of JSON. */
#ifndef SM_NOTIFY_REPORT_INNER_H
#define SM_NOTIFY_REPORT_INNER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* A string, made printable where it is not UTF-8. */
json_t *report_text(const char *text, size_t len);

/* One after the other into a list; *FIRST is true before the first one. ITEM is taken. */
void report_item(FILE *out, json_t *item, bool *first);
void report_items_end(FILE *out, bool first);

#endif
