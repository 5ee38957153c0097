/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks that several kinds of sections share; see config_inner.h. Addresses must be literal: a
 * name would have to be looked up on the day of the shot, when nothing may answer.
 */
#include "config_inner.h"

#include "str.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

bool config_parse_address(const char *text, struct in6_addr *ret)
{
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		*ret = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
		memcpy(&ret->s6_addr[12], &v4, sizeof(v4));
		return true;
	}
	return inet_pton(AF_INET6, text, ret) == 1;
}

bool config_check_address(
	struct conf *f, const struct conf_section *s, const char *key, const char *text)
{
	struct in6_addr a;

	if (!text || config_parse_address(text, &a))
		return true;
	if (text[strspn(text, "0123456789abcdefABCDEF.:")])
		conf_fault(f, s, key,
			"%s: \"%.100s\": must be an IP address, not a name (no name server can be "
			"asked on the day of the shot)",
			key, text);
	else
		conf_fault(f, s, key, "%s: \"%.100s\": is no IPv4 or IPv6 address", key, text);
	return false;
}

bool config_require(struct conf *f, const struct conf_section *s, const char *key, const char *text,
	const char *why)
{
	if (text || s->torn || conf_value(s, key))
		return true;
	conf_fault(f, s, NULL, "%s is missing%s%s", key, why ? ": " : "", why ? why : "");
	return false;
}

bool config_check_name(struct conf *f, const struct conf_section *s)
{
	static const char good[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	const char *name = s->title;

	if (!*name)
		conf_fault(f, s, NULL, "the name must not be empty");
	else if (strlen(name) > CONFIG_NAME_MAX)
		conf_fault(f, s, NULL, "the name has more than %d characters", CONFIG_NAME_MAX);
	else if (name[strspn(name, good)] || !isalnum((unsigned char)*name))
		conf_fault(f, s, NULL,
			"a name consists of letters, digits, '.', '_' and '-', and begins with a "
			"letter or digit");
	else
		return true;
	return false;
}

/* As with keys: near enough to be a slip of the finger. */
enum { NEAR = 2 };

void config_guess(struct config_guess *g, const char *name)
{
	size_t given = strlen(g->word);
	size_t n = str_distance(name, strlen(name), g->word, given);

	if (strcasecmp(name, g->word) == 0)
		n = 0;
	if (n > NEAR || 2 * n >= given || (g->best && n >= g->distance))
		return;
	g->best = name;
	g->distance = n;
}

const char *config_guess_text(const struct config_guess *g, char *out, size_t room)
{
	if (g->best)
		snprintf(out, room, "; did you mean \"%.64s\"?", g->best);
	else
		snprintf(out, room, "%s", "");
	return out;
}
