/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Statements of a configuration file through libconfuse; for conf.c. No cfg_t leaves conf_parse.c.
 */
#ifndef LIB_CONF_PARSE_H
#define LIB_CONF_PARSE_H

#include "conf.h"
#include "conf_text.h"

/* The section S of the file PATH; what is wrong becomes a fault of C, and then it is not added. */
void conf_parse_section(struct conf *c, const char *path, const struct conf_statement *s);

/* The pattern of an include; free() it. NULL: no memory. */
char *conf_parse_include(const struct conf_statement *s);

#endif
