/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From sections to named objects; see conf_objects.h. Sections are looked at only: what is told
 * goes to the faults, and never stops what goes through them.
 */
#include "conf_objects.h"

#include "log.h"
#include "util.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { HOST_NAME_BYTES = 256 };

/* Names. */

const struct conf_section *conf_next(const struct conf *c, const struct conf_kind *kind, size_t *at)
{
	while (*at < c->count) {
		const struct conf_section *s = &c->sections[(*at)++];

		if (s->kind == kind)
			return s;
	}
	return NULL;
}

static bool check_name(struct conf *c, const struct conf_section *s, size_t max)
{
	static const char good[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	const char *name = s->title;

	if (!*name)
		conf_fault(c, s, NULL, "the name must not be empty");
	else if (strlen(name) > max)
		conf_fault(c, s, NULL, "the name has more than %zu characters", max);
	else if (name[strspn(name, good)] || !isalnum((unsigned char)*name))
		conf_fault(c, s, NULL,
			"a name consists of letters, digits, '.', '_' and '-', and begins with a "
			"letter or digit");
	else
		return true;
	return false;
}

/* Names that differ in case only; equal ones are a fault already. */
static void check_twice(struct conf *c, const struct conf_section *s)
{
	for (const struct conf_section *o = c->sections; o < s; o++) {
		if (o->kind == s->kind && strcasecmp(o->title, s->title) == 0 &&
			strcmp(o->title, s->title) != 0)
			conf_fault(c, s, NULL, "is called like \"%.64s\" at %s:%u but for its case",
				o->title, o->file, o->line);
	}
}

const struct conf_section *conf_next_named(
	struct conf *c, const struct conf_kind *kind, size_t max, size_t *at, char **ret_name)
{
	const struct conf_section *s = conf_next(c, kind, at);

	if (!s)
		return NULL;
	*ret_name = strdup(s->title);
	if (!*ret_name) {
		conf_fault(c, s, NULL, "out of memory");
		return NULL;
	}
	if (check_name(c, s, max))
		check_twice(c, s);
	return s;
}

/* Values. */

bool conf_require(struct conf *c, const struct conf_section *s, const char *key, const char *text,
	const char *why)
{
	if (!text && !s->torn && !conf_value(s, key))
		conf_fault(c, s, NULL, "%s is missing%s%s", key, why ? ": " : "", why ? why : "");
	return text;
}

bool conf_check_address(struct conf *c, const struct conf_section *s, const char *key,
	const char *text, const char *why)
{
	struct in6_addr a;

	if (!text || inet_pton(AF_INET, text, &a) == 1 || inet_pton(AF_INET6, text, &a) == 1)
		return true;
	if (text[strspn(text, "0123456789abcdefABCDEF.:")])
		conf_fault(c, s, key, "%s: \"%.100s\": must be an IP address, not a name%s%s%s",
			key, text, why ? " (" : "", why ? why : "", why ? ")" : "");
	else
		conf_fault(c, s, key, "%s: \"%.100s\": is no IPv4 or IPv6 address", key, text);
	return false;
}

bool conf_fill_in(struct conf *c, const char *file, const char **at, const char *text)
{
	if (!*at)
		*at = strdup(text);
	if (!*at)
		conf_fault_at(c, file, 0, "out of memory");
	return *at;
}

/* Others. */

bool conf_is_this_host(const char *name)
{
	char host[HOST_NAME_BYTES] = "";
	size_t label;

	if (gethostname(host, sizeof(host) - 1) < 0)
		return false;
	label = strcspn(host, ".");
	return strcasecmp(host, name) == 0 ||
		(strlen(name) == label && strncasecmp(host, name, label) == 0);
}

void conf_log_faults(const struct conf *c)
{
	for (size_t i = 0; i < c->fault_count; i++)
		log_error("%s", c->faults[i]);
}

void conf_end(struct conf *c, int r, char *fault, size_t room)
{
	conf_log_faults(c);
	if (r < 0)
		snprintf(fault, room, "%s", c->fault_count ? c->faults[0] : strerror(-r));
	conf_done(c);
}
