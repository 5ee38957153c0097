/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines for the systemd journal, in its native protocol
 * (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/): one datagram an entry, made of fields. Only the
 * journal knows more than text; what of it we need is a page of code, so libsystemd is not.
 */
#ifndef LIB_JOURNAL_H
#define LIB_JOURNAL_H

#include <stddef.h>

#include <sys/un.h>

#include "err.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* An entry has to fit into one datagram of this size; a socket takes far more. */
enum { JOURNAL_ENTRY_MAX = 8 * 1024 };

struct journal {
	int fd;
	struct sockaddr_un address;
};

struct journal_field {
	const char *name;  /* capitals, digits and '_' */
	const char *value; /* any text; NULL: the field is left out */
};

/* PATH: NULL is JOURNAL_SOCKET. -errno with a line if nobody receives there. */
int journal_open(struct journal *j, const char *path, struct err *err);
void journal_close(struct journal *j);

/* Never waits: -EAGAIN if the journal does not keep up. Several threads may send at a time. */
int journal_send(const struct journal *j, const struct journal_field *fields, size_t count);

/* The datagram; fields that have no room any more are left out. Returns its length. */
size_t journal_pack(char *out, size_t room, const struct journal_field *fields, size_t count);

#endif
