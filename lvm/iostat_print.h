/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A look as a table for people, as lines for rrdtool, or as JSON. */
#ifndef LVM_IOSTAT_PRINT_H
#define LVM_IOSTAT_PRINT_H

#include "iostat_item.h"
#include "iostat_view.h"

#include <stdio.h>

void iostat_print_table(const struct iostat_sample *s, const struct iostat_rates *rates, FILE *out);

/*
 * "NAME SECONDS:READ:WRITTEN:READS:WRITES:QUEUE:QTIME": counts, for data sources of type DERIVE,
 * but QUEUE, a GAUGE. What is behind NAME is an argument of `rrdtool update`. Names have no blanks
 * here: such bytes become \xNN. Names of exports begin with "export/", of clients "client/".
 */
void iostat_print_dump(const struct iostat_sample *s, FILE *out);

/* One object on one line. */
void iostat_print_json(const struct iostat_sample *s, const struct iostat_rates *rates, FILE *out);

/* "0", "512", "1.5K", "12.3G". */
enum { IOSTAT_BYTES_ROOM = 16 };
void iostat_bytes(char out[IOSTAT_BYTES_ROOM], double bytes);

#endif
