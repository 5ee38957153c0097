/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks that several kinds of sections share; see config_inner.h. Addresses must be literal: a
 * name would have to be looked up on the day of the shot, when nothing may answer.
 */
#include "config_inner.h"

#include "conf_objects.h"
#include "str.h"

#include <arpa/inet.h>
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
	return conf_check_address(
		f, s, key, text, "no name server can be asked on the day of the shot");
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
