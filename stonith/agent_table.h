/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rows of agent_table.c, for those who make options, help and metadata of them. */
#ifndef STONITH_AGENT_TABLE_H
#define STONITH_AGENT_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#define AGENT_NO_EFFECT "taken from other agents, has no effect"

enum agent_type { AGENT_TEXT, AGENT_INTEGER, AGENT_SECONDS, AGENT_SELECT, AGENT_FLAG };

struct agent_row {
	const char *name; /* on standard input; as an option with '-' for '_' */
	char letter;      /* 0 = none */
	size_t offset;    /* in struct agent_params: const char *, or bool of FLAG */
	enum agent_type type;
	const char *initial;        /* for people; NULL = none */
	bool required;              /* says the metadata; the API has it so of `action` */
	const char *obsoletes;      /* the name of the past, which has a row too */
	const char *now;            /* of such a row: the name of today */
	const char *const *choices; /* SELECT; ends in NULL */
	const char *help;
};

extern const struct agent_row agent_table[];
extern const size_t agent_rows;

/* "snmp-version" of "snmp_version". */
void agent_option_name(const struct agent_row *row, char *ret, size_t room);

#endif
