/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was asked for: names of actions, and parameters from standard input. Whatever a cluster
 * sends besides is no reason not to shoot, so it is passed over; what we do not know is told, as it
 * may be a typing error.
 */
#include "agent.h"

#include "agent_table.h"
#include "log.h"
#include "str.h"
#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const actions[] = {
	[AGENT_OFF] = "off",
	[AGENT_ON] = "on",
	[AGENT_REBOOT] = "reboot",
	[AGENT_STATUS] = "status",
	[AGENT_MONITOR] = "monitor",
	[AGENT_LIST] = "list",
	[AGENT_LIST_STATUS] = "list-status",
	[AGENT_METADATA] = "metadata",
	[AGENT_VALIDATE_ALL] = "validate-all",
	[AGENT_MANPAGE] = "manpage",
	[AGENT_HOSTS] = "gethosts",
};

bool agent_find_action(const char *name, enum agent_action *ret)
{
	if (!name || !*name)
		name = actions[AGENT_REBOOT];
	if (strcasecmp(name, "meta-data") == 0)
		name = actions[AGENT_METADATA];
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		if (strcasecmp(name, actions[i]) == 0) {
			*ret = (enum agent_action)i;
			return true;
		}
	}
	return false;
}

/* Standard input. */

static const struct agent_row *find_row(const char *name)
{
	for (size_t i = 0; i < agent_rows; i++) {
		if (strcmp(agent_table[i].name, name) == 0)
			return &agent_table[i];
	}
	return NULL;
}

/* verbose=2 means more than 1. */
static bool is_true(const char *value)
{
	static const char *const yes[] = {"yes", "true", "on", "y", "t"};

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (strcasecmp(value, yes[i]) == 0)
			return true;
	}
	return *value && strspn(value, "0123456789") == strlen(value) && strtoul(value, NULL, 10);
}

static void set(struct agent_params *p, const struct agent_row *row, const char *value)
{
	void *field = (char *)p + row->offset;

	if (row->type == AGENT_FLAG)
		*(bool *)field = is_true(value);
	else
		*(const char **)field = value;
}

void agent_drop_empty(struct agent_params *p)
{
	for (size_t i = 0; i < agent_rows; i++) {
		const char **field = (const char **)((char *)p + agent_table[i].offset);

		if (agent_table[i].type != AGENT_FLAG && *field && !**field)
			*field = NULL;
	}
}

/* Blanks in front of a value belong to it: it may be a secret. */
static void cut_end(char *text)
{
	size_t len = strlen(text);

	while (len > 0 && isspace((unsigned char)text[len - 1]))
		text[--len] = 0;
}

static char *skip_blanks(char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

static char *unquote(char *value)
{
	size_t len = strlen(value);

	if (len < 2 || value[0] != '"' || value[len - 1] != '"')
		return value;
	value[len - 1] = 0;
	return value + 1;
}

/* Values of what we do not know may be secrets of others, so they are never logged. */
static void tell_unknown(const char *name)
{
	static const char *const of_clusters[] = {"nodeid", "domain", "agent"};
	char shown[64];

	for (size_t i = 0; i < ARRAY_LEN(of_clusters); i++) {
		if (strcmp(name, of_clusters[i]) == 0)
			return;
	}
	str_printable(shown, sizeof(shown), name, strlen(name));
	log_warn("standard input: \"%s\" is no parameter of this agent, it has no effect", shown);
}

static void take_line(struct agent_params *p, char *line)
{
	char *name = skip_blanks(line), *value;
	const struct agent_row *row;

	cut_end(name);
	if (!*name || *name == '#')
		return;
	value = strchr(name, '=');
	if (!value) {
		log_warn("standard input: a line is not NAME=VALUE, it has no effect");
		return;
	}
	*value++ = 0;
	cut_end(name);
	row = find_row(name);
	if (row)
		set(p, row, unquote(value));
	else
		tell_unknown(name);
}

void agent_parse_text(struct agent_params *p, char *text)
{
	char *line;

	while ((line = strsep(&text, "\n")))
		take_line(p, line);
	agent_drop_empty(p);
}

int agent_parse_input(struct agent_params *p, FILE *in, struct err *err)
{
	size_t n = fread(p->input, 1, sizeof(p->input), in);

	if (ferror(in))
		return err_sys(err, EIO, "standard input");
	if (n == sizeof(p->input))
		return err_set(err, EINVAL, "standard input: more than %d bytes", AGENT_INPUT_MAX);
	if (memchr(p->input, 0, n))
		return err_set(err, EINVAL, "standard input: has a zero byte, so it is no text");
	p->input[n] = 0;
	agent_parse_text(p, p->input);
	return 0;
}
