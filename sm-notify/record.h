/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A line of a monitor record, as rpc.statd writes it, and the names in it. Pure.
 *
 *   0100007f 000186b5 00000003 00000010 1e4b...26ff 10.9.0.2 nfssrv.lab.test
 *   address  program  version  procedure cookie     mon_name my_name
 *
 * Four times 8 and once 32 hexadecimal digits, one blank behind each, then two names of 1 to 1024
 * bytes without blanks and control characters, with blanks between. Blanks or a carriage return at
 * the end do no harm.
 */
#ifndef SM_NOTIFY_RECORD_H
#define SM_NOTIFY_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	RECORD_COOKIE_DIGITS = 32,
	RECORD_NAMES_AT = 4 * 9 + RECORD_COOKIE_DIGITS + 1, /* column of mon_name */
	RECORD_TEXT_MAX = 1024,                             /* SM_MAXSTRLEN of the protocol */
	RECORD_LINE_MAX = 4096,                             /* longer lines are refused unread */
	RECORD_NAME_MAX = 253, /* a domain name; leaves room for two more in a file name */
};

/* Texts point into the line; none ends in a zero byte. */
struct record {
	uint32_t program, version, procedure;
	const char *cookie; /* RECORD_COOKIE_DIGITS */
	const char *mon, *my;
	size_t mon_len, my_len;
};

/*
 * LINE: LEN bytes, without the newline. 0, or -EINVAL and what is wrong with it in *ret_why (may be
 * NULL).
 */
int record_parse(const char *line, size_t len, struct record *ret, const char **ret_why);

/* Nothing but blanks: no record, and no fault either. */
bool record_is_blank(const char *line, size_t len);

/*
 * May a file of this name be a peer? An address, IPv6 also with %scope; or a host name: letters,
 * digits, "-_." and UTF-8 beyond ASCII, not beginning with '.' or '-'.
 */
bool record_name_is_valid(const char *name);

/*
 * Is it an address, or looks so much like one that it is no name? IPv4, IPv6, IPv6 with %scope, or
 * nothing but digits and dots.
 */
bool record_is_address(const char *text);

/*
 * The names under which a peer may know us as MY (not empty): MY itself, and up to its first dot.
 * An address has only itself. Fills the lengths of these beginnings of MY, returns how many.
 */
unsigned record_names(const char *my, size_t ret_lengths[2]);

/*
 * Is NAME the next version of a record, which rpc.statd had written and not yet renamed when it was
 * cut off: PEER.new of its older versions, .PEER.new of newer ones? RET gets PEER, the name of a
 * peer.
 */
bool record_temporary_of(const char *name, char ret[RECORD_NAME_MAX + 1]);
/*
 * Is it one by its name alone? Hosts may be in the domain .new, but none begins with a dot, and if
 * PEER is an address, or has no dot, NAME is no host's.
 */
bool record_looks_temporary(const char *name);

#endif
