/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What writing and verifying of the audit log share: hashes, PATH.head, and files in pieces. */
#ifndef STONITH_AUDIT_INNER_H
#define STONITH_AUDIT_INNER_H

#include "audit_line.h"

#include <openssl/evp.h>
#include <stddef.h>

/* Of the first line there is. */
extern const char audit_no_hash[AUDIT_HASH_ROOM];

/* SHA-256 with all its memory taken by audit_hash_init(). False: there is none. */
struct audit_hash {
	EVP_MD *md;
	EVP_MD_CTX *ctx;
};
bool audit_hash_init(struct audit_hash *h);
void audit_hash_done(struct audit_hash *h);
void audit_hash_begin(struct audit_hash *h);
void audit_hash_add(struct audit_hash *h, const void *bytes, size_t len);
void audit_hash_end(struct audit_hash *h, char ret[AUDIT_HASH_ROOM]);
/* All at once. */
void audit_hash(struct audit_hash *h, const void *bytes, size_t len, char ret[AUDIT_HASH_ROOM]);

/* What PATH.head says; it is written in place, always the same length, so it needs no room on a
 * full disk. False: nothing that could be understood. */
bool audit_head_read(int fd, struct audit_head *ret);
void audit_head_write(int fd, const struct audit_head *head);

/* A file in pieces: whole lines, and parts of lines longer than AUDIT_LINE_MAX. */
struct audit_reader {
	int fd;
	size_t start, end;   /* of what is read and not yet taken */
	bool at_end, inside; /* of the file; of a long line */
	char bytes[2 * AUDIT_LINE_MAX];
};

struct audit_piece {
	const char *text; /* valid until the next call */
	size_t len;       /* without the newline */
	bool newline;     /* one follows */
	bool whole;       /* it is not a part of a long line */
};

void audit_reader_init(struct audit_reader *r, int fd);
/* 1 and a piece, 0 at the end, -errno. */
int audit_reader_next(struct audit_reader *r, struct audit_piece *ret);

#endif
