/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The exports as a table, for a terminal. */
#ifndef WRAPPER_CTL_LIST_H
#define WRAPPER_CTL_LIST_H

#include <jansson.h>
#include <stdio.h>

/* ANSWER is that of `list`. Snapshots are shown, too. */
void ctl_list_print(json_t *answer, FILE *out);

#endif
