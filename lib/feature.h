/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What client and server agreed on before transmission, and its text form: the argument of
 * xnbd-server --negotiated and the "features" of the control command "client".
 */
#ifndef LIB_FEATURE_H
#define LIB_FEATURE_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

struct features {
	bool structured; /* structured replies */
	bool extended;   /* extended headers; implies structured */
	bool allocation; /* metadata context base:allocation was selected */
};

enum { FEATURE_TEXT_MAX = 64 };

/* "simple", or a comma list of "structured", "extended", "base:allocation". */
void feature_format(const struct features *f, char out[FEATURE_TEXT_MAX]);
int feature_parse(const char *text, struct features *ret, struct err *err);

#endif
