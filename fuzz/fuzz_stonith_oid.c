/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Identifiers, keys and patterns from a configuration, and profiles made of such: lines of the
 * input are state, off, on, cancel, a system and a key. What is accepted must name one outlet and
 * no other.
 */
#include "fuzz.h"

#include "profile.h"

#include <string.h>

enum { LINES = 6, LINE_MAX = 300 };

static void check_oid(const char *text)
{
	struct oid o, again;
	char printed[OID_TEXT_MAX];

	if (!oid_parse(text, &o))
		return;
	REQUIRE(o.count >= 2 && o.count <= OID_MAX);
	oid_print(&o, printed);
	REQUIRE(oid_parse(printed, &again) && oid_equal(&o, &again) && oid_begins(&o, &again));
	REQUIRE(oid_pattern_parts(printed) == 0);
}

static void check_key(const char *text)
{
	struct oid_key k, again;
	char printed[OID_TEXT_MAX];

	if (!oid_key_parse(text, &k))
		return;
	oid_key_print(&k, printed);
	REQUIRE(oid_key_parse(printed, &again) && oid_key_equal(&k, &again));
}

/* The neighbour's objects are others. */
static void check_apart(const struct profile *p, const struct oid_key *k)
{
	struct oid_key next = *k;
	struct oid a[PROFILE_READS], b[PROFILE_READS], x, y;
	int32_t value;

	next.part[next.count - 1]++;
	REQUIRE(profile_reads(p, k, a) == 1 && profile_switch(p, k, false, &x, &value));
	if (profile_reads(p, &next, b) == 0 || !profile_switch(p, &next, false, &y, &value))
		return;
	REQUIRE(!oid_equal(&a[0], &b[0]) && !oid_equal(&x, &y));
}

static void check_profile(char lines[LINES][LINE_MAX], uint8_t parts)
{
	struct profile p = {.name = "own",
		.systems = {lines[4]},
		.key_parts = parts,
		.state = lines[0],
		.state_on = 1,
		.off = {lines[1], 2},
		.on = {lines[2], 1},
		.cancel = {{lines[3], 7}}};
	struct oid_key k;
	struct err err;

	if (profile_check(&p, &err) < 0 || profile_key(&p, lines[5], &k, &err) < 0)
		return;
	REQUIRE(k.count == parts);
	check_apart(&p, &k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char lines[LINES][LINE_MAX];
	size_t line = 0, at = 0;

	memset(lines, 0, sizeof(lines));
	for (size_t i = 0; i < size && line < LINES; i++) {
		if (data[i] == '\n') {
			line++;
			at = 0;
		} else if (at < LINE_MAX - 1) {
			lines[line][at++] = (char)data[i];
		}
	}
	for (line = 0; line < LINES; line++) {
		check_oid(lines[line]);
		check_key(lines[line]);
		REQUIRE(oid_pattern_parts(lines[line]) < 8);
	}
	for (uint8_t parts = 1; parts <= OID_KEY_MAX; parts++)
		check_profile(lines, parts);
	return 0;
}
