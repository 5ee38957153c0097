/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers of the wrapper as text or JSON, on stdout. */
#ifndef WRAPPER_CTL_PRINT_H
#define WRAPPER_CTL_PRINT_H

#include <jansson.h>

#include "options.h"

/* Changes ANSWER. */
void ctl_print(const struct ctl_options *o, json_t *answer);

#endif
