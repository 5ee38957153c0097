/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keys as entries of a list in mdoc(7), on standard output: for programs that run when the tree is
 * built and make pages of section 5 from tables.
 */
#ifndef LIB_KEY_PAGE_H
#define LIB_KEY_PAGE_H

#include "key.h"

/* ".It Cm name No = value", the help, and the range of a number. */
void key_page_entry(const struct key *k);

/* One sentence a line, as mdoc wants it. */
void key_page_text(const char *text);

#endif
