/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Object identifiers, and patterns of them with places for the key of an outlet:
 *
 *	1.3.6.1.4.1.318.1.1.12.3.5.1.1.4.{1}        key 3      -> ...4.3
 *	1.3.6.1.4.1.20677.2.6.2.{1+1}.0             key 3      -> ...2.4.0
 *	1.3.6.1.4.1.1718.3.2.3.1.5.{1}.{2}.{3}      key 1.2.8  -> ...5.1.2.8
 *
 * {K}, {K+N} and {K-N}: number K of the key, from 1, and something added or taken off. Nothing
 * wraps: what is out of range is no identifier.
 *
 * Pure.
 */
#ifndef STONITH_OID_H
#define STONITH_OID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	OID_MAX = 40,          /* numbers */
	OID_TEXT_MAX = 512,    /* bytes, with the 0: more than OID_MAX numbers can take */
	OID_KEY_MAX = 3,       /* numbers of an outlet's key */
	OID_PATTERN_MAX = 128, /* bytes of a pattern, without the 0 */
};

struct oid {
	uint8_t count;
	uint32_t part[OID_MAX];
};

/* "3", "1.5" or "1.2.8". */
struct oid_key {
	uint8_t count;
	uint32_t part[OID_KEY_MAX];
};

/*
 * "1.3.6.1" or ".1.3.6.1": decimal numbers below 2^32, at least two. False: it is none, or longer
 * than OID_MAX; *ret is untouched then, here and below.
 */
bool oid_parse(const char *text, struct oid *ret);
void oid_print(const struct oid *o, char ret[OID_TEXT_MAX]);
bool oid_equal(const struct oid *a, const struct oid *b);
/* Does O begin with all of PREFIX? (An O that is PREFIX does.) */
bool oid_begins(const struct oid *o, const struct oid *prefix);

bool oid_key_parse(const char *text, struct oid_key *ret);
void oid_key_print(const struct oid_key *k, char ret[OID_TEXT_MAX]);
bool oid_key_equal(const struct oid_key *a, const struct oid_key *b);

/* Which numbers of a key PATTERN has places for: bit 0 for {1}, ... ; -EINVAL: it is no pattern. */
int oid_pattern_parts(const char *pattern);
/* False: no pattern, or K has too few numbers for it, or one gets out of range. */
bool oid_fill(const char *pattern, const struct oid_key *k, struct oid *ret);

#endif
