/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nfs.conf: every line is a value, an include, a fault or nothing; what is reported lies within the
 * text, is trimmed and not empty; and a value written anew, in quotes, is the same.
 */
#include "fuzz.h"

#include "nfsconf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reading {
	unsigned lines, last, events;
	bool again; /* second reading: one value, to be this one */
	const char *section, *key, *value;
};

static void read_again(const char *section, const char *key, const char *value);

static void take_value(void *ctx, const char *section, const char *key, const char *value)
{
	struct reading *r = ctx;

	r->events++;
	REQUIRE(*section && strlen(section) < NFSCONF_SECTION_ROOM);
	REQUIRE(*key && *value && !strchr(key, '='));
	REQUIRE(!strchr(" \t\r", *key) && !strchr(" \t\r", key[strlen(key) - 1]));
	if (!r->again) {
		read_again(section, key, value);
		return;
	}
	REQUIRE(strcmp(section, r->section) == 0);
	REQUIRE(strcmp(key, r->key) == 0 && strcmp(value, r->value) == 0);
}

static void take_include(void *ctx, char *section, const char *path, bool may_be_absent)
{
	struct reading *r = ctx;

	(void)may_be_absent;
	r->events++;
	REQUIRE(!r->again && *path && strlen(section) < NFSCONF_SECTION_ROOM);
}

static void take_fault(void *ctx, unsigned line, const char *what)
{
	struct reading *r = ctx;

	r->events++;
	REQUIRE(!r->again && *what);
	REQUIRE(line > r->last && line <= r->lines);
	r->last = line;
}

static const struct nfsconf_ops ops = {take_value, take_include, take_fault};

static void read_again(const char *section, const char *key, const char *value)
{
	struct reading r = {.again = true, .section = section, .key = key, .value = value};
	char copy[NFSCONF_SECTION_ROOM];
	char *text;
	int n;

	if (*key == '[' || *key == '#' ||
		*key == ';') /* only behind white space, now at the start */
		return;
	n = asprintf(&text, "%s = \"%s\"\n", key, value);
	REQUIRE(n > 0);
	snprintf(copy, sizeof(copy), "%s", section);
	nfsconf_text(text, (size_t)n, copy, &ops, &r);
	REQUIRE(r.events == 1);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reading r = {.lines = 1};
	char section[NFSCONF_SECTION_ROOM] = "start";
	char *text = malloc(size + 1);

	REQUIRE(text);
	memcpy(text, data, size);
	text[size] = 0;
	for (size_t i = 0; i < size; i++)
		r.lines += text[i] == '\n';
	nfsconf_text(text, size, section, &ops, &r);
	REQUIRE(r.events <= r.lines && strlen(section) < sizeof(section));
	free(text);
	return 0;
}
