/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Standard input of fence_xnbd: whatever it is, each text that comes out is a part of it, not empty
 * and of one line; to be read again it gives the same.
 */
#include "fuzz.h"

#include "agent.h"
#include "agent_table.h"
#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void to_nowhere(enum log_level level, const struct log_subject *about, const char *text)
{
	(void)level;
	(void)about;
	REQUIRE(strlen(text) < 256);
}

/* NULL of flags, too. */
static const char *text_at(const struct agent_params *p, const struct agent_row *row)
{
	if (row->type == AGENT_FLAG)
		return NULL;
	return *(const char *const *)((const char *)p + row->offset);
}

static void check_value(const struct agent_params *p, const char *value)
{
	REQUIRE(value >= p->input && value < p->input + sizeof(p->input));
	REQUIRE(*value && !strchr(value, '\n'));
}

/* In quotes, as what has blanks at its end needs them. */
static void check_again(const struct agent_params *p, struct agent_params *again)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	REQUIRE(out);
	for (size_t i = 0; i < agent_rows; i++) {
		if (text_at(p, &agent_table[i]))
			fprintf(out, "%s=\"%s\"\n", agent_table[i].name,
				text_at(p, &agent_table[i]));
	}
	fclose(out);
	agent_parse_text(again, text);
	for (size_t i = 0; i < agent_rows; i++) {
		const char *a = text_at(p, &agent_table[i]), *b = text_at(again, &agent_table[i]);

		REQUIRE(a ? b && strcmp(a, b) == 0 : !b);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct agent_params p, again;
	FILE *in = size ? fmemopen((void *)(uintptr_t)data, size, "r") : NULL;
	enum agent_action action;
	struct err err = {0};
	int r;

	if (!in)
		return 0;
	p = again = (struct agent_params){0};
	log_to_function(to_nowhere);
	r = agent_parse_input(&p, in, &err);
	fclose(in);
	REQUIRE(r == 0 || *err.text);
	if (r < 0)
		return 0;
	for (size_t i = 0; i < agent_rows; i++) {
		if (text_at(&p, &agent_table[i]))
			check_value(&p, text_at(&p, &agent_table[i]));
	}
	agent_find_action(p.action, &action);
	check_again(&p, &again);
	return 0;
}
