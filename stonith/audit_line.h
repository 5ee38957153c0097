/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines of the audit log: made and understood without memory of their own; see audit.h. What was
 * not written by audit_line_put() is not a line, and no proper beginning of a line is one, so a
 * piece that a crash left is told from a line by looking at it alone. Pure.
 */
#ifndef STONITH_AUDIT_LINE_H
#define STONITH_AUDIT_LINE_H

#include "audit.h"

#include <stddef.h>

/* What a line begins with, in this order; 0, "" and false are left out (but seq and prev). */
struct audit_fields {
	uint64_t seq;
	char prev[AUDIT_HASH_ROOM];
	uint64_t torn;                     /* bytes */
	char torn_sha256[AUDIT_HASH_ROOM]; /* of them */
	uint64_t lost;
	bool continues;
};

/* What else each line has. */
struct audit_stamp {
	int64_t time_ms; /* since 1970, UTC */
	uint64_t boot_ms;
	const char *host;
};

/* Of an entry's members; "" = none of these. */
const char *audit_line_reserved(const json_t *entry);

/*
 * FIELDS, STAMP and the members of ENTRY as one line without a newline. The length; 0: it does not
 * fit into ROOM bytes. Texts are cut at AUDIT_TEXT_MAX bytes, what lies deeper than 8 is null.
 */
size_t audit_line_put(char *out, size_t room, const struct audit_fields *fields,
	const struct audit_stamp *stamp, const json_t *entry);

/* LINE without its newline. False: it is no line. */
bool audit_line_parse(const char *line, size_t len, struct audit_fields *ret);

#endif
