/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text to numbers and back. One reader of numbers for identifiers, keys and patterns: digits only,
 * below 2^32, so that no outlet 257 becomes outlet 1.
 */
#include "oid.h"

#include "util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Moves *P behind the digits there. */
static bool take_number(const char **p, uint32_t *ret)
{
	uint64_t n = 0;
	const char *s = *p;

	for (; *s >= '0' && *s <= '9'; s++) {
		n = n * 10 + (uint64_t)(*s - '0');
		if (n > UINT32_MAX)
			return false;
	}
	if (s == *p)
		return false;
	*p = s;
	*ret = (uint32_t)n;
	return true;
}

/* Numbers with dots between them, and nothing else. Returns how many, 0 = that is not what it is.
 */
static uint8_t take_numbers(const char *text, uint32_t *parts, uint8_t room)
{
	for (uint8_t n = 0; n < room;) {
		if (!take_number(&text, &parts[n++]))
			return 0;
		if (*text == '\0')
			return n;
		if (*text++ != '.')
			return 0;
	}
	return 0;
}

static void print_numbers(const uint32_t *parts, size_t count, char ret[OID_TEXT_MAX])
{
	size_t len = 0;

	ret[0] = '\0';
	for (size_t i = 0; i < count && len < OID_TEXT_MAX; i++)
		len += (size_t)snprintf(
			ret + len, OID_TEXT_MAX - len, "%s%" PRIu32, i > 0 ? "." : "", parts[i]);
}

bool oid_parse(const char *text, struct oid *ret)
{
	struct oid o = {0};

	if (*text == '.')
		text++;
	o.count = take_numbers(text, o.part, OID_MAX);
	if (o.count < 2)
		return false;
	*ret = o;
	return true;
}

void oid_print(const struct oid *o, char ret[OID_TEXT_MAX])
{
	print_numbers(o->part, MIN_OF((size_t)o->count, (size_t)OID_MAX), ret);
}

bool oid_equal(const struct oid *a, const struct oid *b)
{
	return a->count == b->count && oid_begins(a, b);
}

bool oid_begins(const struct oid *o, const struct oid *prefix)
{
	if (prefix->count > o->count)
		return false;
	return memcmp(o->part, prefix->part, prefix->count * sizeof(o->part[0])) == 0;
}

bool oid_key_parse(const char *text, struct oid_key *ret)
{
	struct oid_key k = {0};

	k.count = take_numbers(text, k.part, OID_KEY_MAX);
	if (k.count == 0)
		return false;
	*ret = k;
	return true;
}

void oid_key_print(const struct oid_key *k, char ret[OID_TEXT_MAX])
{
	print_numbers(k->part, MIN_OF((size_t)k->count, (size_t)OID_KEY_MAX), ret);
}

bool oid_key_equal(const struct oid_key *a, const struct oid_key *b)
{
	return a->count == b->count && memcmp(a->part, b->part, a->count * sizeof(a->part[0])) == 0;
}

/* A place in a pattern, behind its '{'. */
struct place {
	uint8_t at; /* in the key, from 0 */
	bool minus;
	uint32_t shift;
};

static bool take_place(const char **p, struct place *ret)
{
	struct place e = {0};

	if (**p < '1' || **p >= '1' + OID_KEY_MAX)
		return false;
	e.at = (uint8_t)(*(*p)++ - '1');
	if (**p == '+' || **p == '-') {
		e.minus = *(*p)++ == '-';
		if (!take_number(p, &e.shift))
			return false;
	}
	if (*(*p)++ != '}')
		return false;
	*ret = e;
	return true;
}

/* K NULL: 0 is put in each place. */
static bool fill_place(const struct place *e, const struct oid_key *k, uint32_t *ret)
{
	uint64_t n = 0;

	if (!k) {
		*ret = 0;
		return true;
	}
	if (e->at >= k->count)
		return false;
	n = k->part[e->at];
	if (e->minus && n < e->shift)
		return false;
	n = e->minus ? n - e->shift : n + e->shift;
	if (n > UINT32_MAX)
		return false;
	*ret = (uint32_t)n;
	return true;
}

static bool fill_part(const char **p, const struct oid_key *k, uint32_t *ret, int *parts)
{
	struct place e;

	if (**p != '{')
		return take_number(p, ret);
	++*p;
	if (!take_place(p, &e) || !fill_place(&e, k, ret))
		return false;
	*parts |= 1 << e.at;
	return true;
}

/* *PARTS: bits of the places used. */
static bool fill(const char *pattern, const struct oid_key *k, struct oid *ret, int *parts)
{
	struct oid o = {0};
	const char *p = pattern;

	*parts = 0;
	if (strnlen(pattern, OID_PATTERN_MAX + 1) > OID_PATTERN_MAX)
		return false;
	if (*p == '.')
		p++;
	for (;;) {
		if (o.count == OID_MAX || !fill_part(&p, k, &o.part[o.count++], parts))
			return false;
		if (*p == '\0')
			break;
		if (*p++ != '.')
			return false;
	}
	if (o.count < 2)
		return false;
	*ret = o;
	return true;
}

int oid_pattern_parts(const char *pattern)
{
	struct oid any;
	int parts;

	return fill(pattern, NULL, &any, &parts) ? parts : -EINVAL;
}

bool oid_fill(const char *pattern, const struct oid_key *k, struct oid *ret)
{
	int parts;

	return fill(pattern, k, ret, &parts);
}
