/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Results of xnbd-stonith for people and, with --json, for programs: one document on stdout. */
#ifndef STONITH_REPORT_H
#define STONITH_REPORT_H

#include "options.h"
#include "shoot.h"

#include <jansson.h>

/* RET, ERR: of shoot(). A failure is said on stderr too; of a status that is certain though not all
 * could be read, that is a warning. */
void report_shot(const struct options *o, const struct shoot_order *order,
	const struct shoot_result *r, int ret, const struct err *err);

/* Takes DOCUMENT. NULL (no memory): nothing is written, which a reader takes for a failure. */
void report_json(json_t *document);

#endif
