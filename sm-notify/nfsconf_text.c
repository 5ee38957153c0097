/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines of nfs.conf; pure, see nfsconf.h. A line is cut in place. After a section line that is none
 * there is no section until the next one: its keys must not end up in the section before.
 */
#include "nfsconf.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

struct reader {
	char *section; /* NFSCONF_SECTION_ROOM bytes, the caller's */
	const struct nfsconf_ops *ops;
	void *ctx;
	unsigned line;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static char *trim(char *p)
{
	char *end;

	while (is_space(*p))
		p++;
	end = p + strlen(p);
	while (end > p && is_space(end[-1]))
		end--;
	*end = 0;
	return p;
}

static void fault(struct reader *r, const char *what)
{
	r->ops->fault(r->ctx, r->line, what);
}

/* Without the quotes around it, if there are both. */
static char *unquote(char *p)
{
	size_t len = strlen(p);

	if (len < 2 || (*p != '"' && *p != '\'') || p[len - 1] != *p)
		return p;
	p[len - 1] = 0;
	return p + 1;
}

/* [name] or [name "more"] */
static void take_section(struct reader *r, char *p)
{
	char *end = strchr(p, ']'), *name, *more;
	int len, n;

	*r->section = 0;
	if (!end || *trim(end + 1)) {
		fault(r, "not a section in brackets, left out with all its lines");
		return;
	}
	*end = 0;
	name = trim(p + 1);
	len = (int)strcspn(name, " \t\"'");
	more = unquote(trim(name + len));
	n = snprintf(
		r->section, NFSCONF_SECTION_ROOM, "%.*s%s%s", len, name, *more ? " " : "", more);
	if (n < NFSCONF_SECTION_ROOM && len > 0)
		return;
	*r->section = 0;
	fault(r, "no name for a section, or one too long: left out with all its lines");
}

static void take_include(struct reader *r, const char *path)
{
	bool may_be_absent = *path == '-';

	if (path[may_be_absent])
		r->ops->include(r->ctx, r->section, path + may_be_absent, may_be_absent);
	else
		fault(r, "include: which file?");
}

static void take_line(struct reader *r, char *p)
{
	char *equals = strchr(p, '='), *key, *value;

	if (!equals) {
		fault(r, "neither a section nor a value, left out");
		return;
	}
	*equals = 0;
	key = trim(p);
	value = unquote(trim(equals + 1));
	if (!*key)
		fault(r, "a value without a name, left out");
	else if (!*value)
		return;
	else if (strcasecmp(key, "include") == 0)
		take_include(r, value);
	else if (*r->section)
		r->ops->value(r->ctx, r->section, key, value);
}

void nfsconf_text(char *text, size_t len, char section[NFSCONF_SECTION_ROOM],
	const struct nfsconf_ops *ops, void *ctx)
{
	struct reader r = {.section = section, .ops = ops, .ctx = ctx};

	for (char *line = text, *end = text + len, *next; line < end; line = next) {
		char *newline = memchr(line, '\n', (size_t)(end - line));

		next = newline ? newline + 1 : end;
		if (newline)
			*newline = 0;
		r.line++;
		if (strlen(line) != (size_t)((newline ? newline : end) - line)) {
			fault(&r, "a zero byte, line left out");
			continue;
		}
		line = trim(line);
		if (*line == '[')
			take_section(&r, line);
		else if (*line && *line != '#' && *line != ';')
			take_line(&r, line);
	}
}
