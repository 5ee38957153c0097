/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of an export's xnbd-server, from its arguments and the log's level. */
#ifndef WRAPPER_COMMAND_H
#define WRAPPER_COMMAND_H

#include "exports.h"
#include "options.h"

enum { COMMAND_WORDS_MAX = 72, COMMAND_NUMBERS_MAX = 16 };

/* Words point into what it was built from, which must live until the fork. */
struct command {
	char *argv[COMMAND_WORDS_MAX]; /* ends in NULL */
	size_t count;
	char numbers[COMMAND_NUMBERS_MAX][24];
	size_t number_count;
};

/* What E is served as, with the options that concern all exports. */
enum export_kind command_kind(const struct wrapper_options *o, const struct export_entry *e);
bool command_readonly(const struct wrapper_options *o, const struct export_entry *e);

/* CONTROL: the control socket of a proxy that names none. */
void command_build(struct command *c, const char *server, const struct wrapper_options *o,
	const struct export_entry *e, const char *control);

#endif
